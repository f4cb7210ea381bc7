//! Errors of a request that cannot be read.

use super::Problem;
use crate::http::error_body::ErrorBody;
use crate::http::invalid::Invalid;
use http::{StatusCode, header};

impl Problem {
    pub(in crate::http) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", "No resource has this path.")
    }

    pub(in crate::http) fn method_not_allowed(allow: &'static str) -> Self {
        let message = format!("This path answers {allow} only.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
            .header(header::ALLOW, allow)
    }

    pub(in crate::http) fn too_large(bytes_max: usize) -> Self {
        let message = format!("The body is longer than {bytes_max} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "ContentTooLarge", message)
    }

    pub(in crate::http) fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            "The Content-Type must be application/json.",
        )
    }

    pub(in crate::http) fn invalid_json(detail: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "InvalidJsonInput",
            "Request body does not contain valid JSON.",
        )
        .field("detailedErrorMessage", detail)
    }

    pub(in crate::http) fn multiple_actions() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "MultipleActionsNotAllowed",
            "Actions accepts only one action at time. Array size must be 1.",
        )
    }

    /// One error for each invalid field.
    pub(in crate::http) fn invalid_fields<'a>(
        invalid: impl IntoIterator<Item = &'a Invalid>,
    ) -> Self {
        let errors: Vec<_> = invalid.into_iter().map(ErrorBody::of_field).collect();
        if errors.is_empty() {
            return Self::general();
        }
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "InvalidField", "") }
    }

    /// The update action is not supported. `action` is its name in the request.
    pub(in crate::http) fn unknown_update(action: &str) -> Self {
        let shown: String = action.chars().take(256).collect();
        let message = format!("The update action {shown} is not supported.");
        Self::new(StatusCode::BAD_REQUEST, "InvalidInput", message)
    }

    /// The predicate is not supported. Another one than `interfaceId` would find nothing, or
    /// everything.
    pub(in crate::http) fn unknown_predicate(predicate: &str) -> Self {
        let shown: String = predicate.chars().take(256).collect();
        let message = format!(
            "Malformed parameter: where: {shown:?} is not supported; \
             Payments are found by interfaceId=\"…\"."
        );
        Self::new(StatusCode::BAD_REQUEST, "InvalidInput", message)
    }
}
