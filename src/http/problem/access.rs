//! Answers to a caller without a valid token, or without the scope.

use super::Problem;
use crate::auth::Denied;
use http::{StatusCode, header};

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match &denied {
            // RFC 6750, 3.1: without a token in the request, the challenge names no error.
            Denied::NoToken => Self::about_access(
                StatusCode::UNAUTHORIZED,
                "access_denied",
                "An access token is required: get one from the token service and send it \
                 as `Authorization: Bearer`.",
                "Bearer realm=\"payment-intents\"",
            ),
            Denied::InvalidToken(_) => Self::about_access(
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "The access token is invalid or has expired: get a new one from the token service.",
                "Bearer realm=\"payment-intents\", error=\"invalid_token\"",
            ),
            Denied::MissingScope(names) => Self::about_access(
                StatusCode::FORBIDDEN,
                "insufficient_scope",
                format!(
                    "Insufficient scope. One of the following is missing: {}.",
                    names.join(", ")
                ),
                "Bearer realm=\"payment-intents\", error=\"insufficient_scope\"",
            ),
            Denied::Unavailable(_) => Self::unavailable(),
        }
        .because(denied)
    }
}

impl Problem {
    fn about_access(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        challenge: &str,
    ) -> Self {
        let problem = Self::new(status, code, message).header(header::WWW_AUTHENTICATE, challenge);
        Self { is_about_access: true, ..problem }
    }
}
