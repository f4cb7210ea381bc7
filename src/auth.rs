//! Authorization of callers. Each mode of verifying a token results in a caller with
//! scopes. One of the scopes has to name the project of the path.

mod introspection;
mod jwt;
mod signature;

use crate::error::BoxError;
use crate::payment::{ProjectKey, Timestamp};
use crate::secret::Secret;
use crate::transport::Transport;
use http::Uri;
use introspection::Introspection;
use jwt::Jwt;
use serde_json::Number;
use std::time::Duration;

/// The authorization of callers (`AUTH`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthSettings {
    /// None: every caller is authorized. Only for the local server.
    Off,
    /// API Gateway's authorizer verifies the token. Its claims are in the event.
    Gateway,
    /// The token is a JWT (RFC 9068), signed by a key of the issuer's set.
    Jwt {
        /// The issuer, exactly as in the `iss` claim.
        issuer: String,
        /// The audience, which has to be in the `aud` claim.
        audience: String,
        /// The URL of the issuer's keys: `https`, or a loopback address.
        jwks_url: Uri,
    },
    /// The token service verifies an opaque token (RFC 7662).
    Introspection {
        /// The introspection endpoint: `https`, or a loopback address.
        url: Uri,
        /// Our client id.
        client_id: String,
        /// The secret of that client.
        client_secret: Secret,
    },
}

/// Authorizes callers.
#[derive(Debug)]
pub struct Auth(Method);

#[derive(Debug)]
enum Method {
    Off,
    Gateway,
    Jwt(Jwt),
    Introspection(Introspection),
}

/// A caller whose token was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The subject of the token, if it has one.
    pub subject: Option<String>,
    /// The scopes that it grants.
    pub scopes: Scopes,
}

/// The credentials that came with a request.
#[derive(Clone, Copy, Debug)]
pub struct PresentedCredentials<'a> {
    /// The caller that API Gateway's authorizer has verified.
    pub verified: Option<&'a Caller>,
    /// The bearer token.
    pub bearer: Option<&'a Secret>,
}

/// The longest token that is accepted. Proxies do not pass longer headers.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

impl Auth {
    /// The authorization of these settings, without open connections.
    pub fn new(settings: AuthSettings, transport: Transport) -> Self {
        Self(match settings {
            AuthSettings::Off => Method::Off,
            AuthSettings::Gateway => Method::Gateway,
            AuthSettings::Jwt { issuer, audience, jwks_url } => {
                Method::Jwt(Jwt::new(&issuer, &audience, jwks_url, transport))
            }
            AuthSettings::Introspection { url, client_id, client_secret } => {
                Method::Introspection(Introspection::new(url, client_id, client_secret, transport))
            }
        })
    }

    /// Fetches the issuer's keys, or connects to the token service, within `time`. If that
    /// fails, the first request tries again.
    pub async fn open_connections(&self, now: Timestamp, time: Duration) {
        match &self.0 {
            Method::Off | Method::Gateway => {}
            Method::Jwt(jwt) => jwt.open_connections(now, time).await,
            Method::Introspection(service) => service.open_connections(now, time).await,
        }
    }

    /// Authorizes a caller that has one of the scopes `names` for `project`. Takes no longer
    /// than `time`.
    pub async fn authorize(
        &self,
        presented: PresentedCredentials<'_>,
        names: &'static [&'static str],
        project: &ProjectKey,
        now: Timestamp,
        time: Duration,
    ) -> Result<Caller, Denied> {
        let caller = match &self.0 {
            Method::Off => return Ok(Caller::default()),
            Method::Gateway => presented.verified.cloned().ok_or(Denied::NoToken)?,
            Method::Jwt(jwt) => jwt.verify(token(presented)?, now, time).await?,
            Method::Introspection(service) => service.verify(token(presented)?, now, time).await?,
        };
        if caller.scopes.grant_any(names, project) {
            Ok(caller)
        } else {
            Err(Denied::MissingScope(names))
        }
    }
}

/// The bearer token, if it has the syntax of a token: `b64token` of RFC 6750, 2.1.
fn token(presented: PresentedCredentials<'_>) -> Result<&Secret, Denied> {
    let token = presented.bearer.ok_or(Denied::NoToken)?;
    let text = token.reveal().trim_end_matches('=');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if !text.is_empty() && token.reveal().len() <= TOKEN_BYTES_MAX && text.bytes().all(is_plain) {
        Ok(token)
    } else {
        Err(Denied::InvalidToken("it is too long or has invalid characters"))
    }
}

/// The scopes that a verified token grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// Reads a space-separated list, as OAuth 2.0 writes it (RFC 6749, 3.3).
    pub fn parse(text: &str) -> Self {
        Self(text.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect())
    }

    /// Adds the scopes of another list.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// True if one of `names` is granted for `project`: `{name}:{project}`.
    fn grant_any(&self, names: &[&str], project: &ProjectKey) -> bool {
        self.0
            .iter()
            .filter_map(|scope| scope.split_once(':'))
            .any(|(name, granted)| names.contains(&name) && granted == project.as_str())
    }
}

/// The tolerated difference between our clock and that of the issuer.
const LEEWAY_MS: u64 = 60_000;

/// The time in which a token is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Validity {
    not_before: Option<Timestamp>,
    expires: Option<Timestamp>,
}

impl Validity {
    /// Refuses a token that has expired or is not valid yet, beyond the tolerated
    /// difference of clocks.
    fn check(self, now: Timestamp) -> Result<(), Denied> {
        if self.expires.is_some_and(|expires| expires.plus_ms(LEEWAY_MS) < now) {
            return Err(Denied::InvalidToken("it has expired"));
        }
        if self.not_before.is_some_and(|begins| now.plus_ms(LEEWAY_MS) < begins) {
            return Err(Denied::InvalidToken("it is not valid yet"));
        }
        Ok(())
    }
}

/// Reads a number of units since 1970, without its fraction.
fn whole_units(date: &Number) -> Option<u64> {
    date.as_u64().or_else(|| {
        let text = date.to_string();
        let (whole, fraction) = text.split_once('.')?;
        fraction.bytes().all(|digit| digit.is_ascii_digit()).then(|| whole.parse().ok())?
    })
}

/// The reasons to refuse a caller. Their texts are for the log.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// There is no token, or no authorizer has verified it.
    #[error("no verified token")]
    NoToken,
    /// The token is invalid, expired, or for another audience.
    #[error("the token is refused: {0}")]
    InvalidToken(&'static str),
    /// The token grants none of these for the project.
    #[error("none of the scopes {0:?}")]
    MissingScope(&'static [&'static str]),
    /// The token service or the issuer's keys could not be reached.
    #[error("the token cannot be verified now")]
    Unavailable(#[source] BoxError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_counts_for_its_own_project_only() {
        let project = ProjectKey::parse("demo").unwrap();
        for (scopes, expected) in [
            ("manage_payments:demo", true),
            ("view_products:demo  manage_project:demo", true),
            ("manage_payments:other", false),
            ("manage_payments:demo2", false),
            ("manage_payments:demo:other", false),
            ("manage_payments:Demo", false),
            ("manage_payments:", false),
            ("manage_payments", false),
            ("view_payments:demo", false),
            ("", false),
        ] {
            let scopes = Scopes::parse(scopes);
            let answer = scopes.grant_any(&["manage_payments", "manage_project"], &project);
            assert_eq!(answer, expected, "{scopes:?}");
        }
    }

    #[test]
    fn a_clock_may_differ_by_a_minute_and_no_more() {
        let at = |ms| Some(Timestamp::from_ms(ms));
        let now = Timestamp::from_ms(1_000_000);
        for (not_before, expires, expected) in [
            (None, None, true),
            (None, at(1_000_001), true),
            (None, at(940_000), true),
            (None, at(939_999), false),
            (at(1_060_000), None, true),
            (at(1_060_001), None, false),
            (at(0), at(0), false),
        ] {
            let validity = Validity { not_before, expires };
            assert_eq!(validity.check(now).is_ok(), expected, "{validity:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_token_is_asked_of_nobody() {
        let long = "a".repeat(TOKEN_BYTES_MAX + 1);
        for (text, expected) in [
            ("abc.DEF-_~+/019==", true),
            (&long[1..], true),
            (&long, false),
            ("", false),
            ("==", false),
            ("a=b", false),
            ("a b", false),
            ("a,b", false),
            ("a\"b", false),
            ("ключ", false),
        ] {
            let secret = Secret::new(text.to_owned());
            let answer = token(PresentedCredentials { verified: None, bearer: Some(&secret) });
            assert_eq!(answer.is_ok(), expected, "{text}");
        }
    }
}
