//! The variables `AUTH` and `AUTH_…`.

use super::environment::Environment;
use crate::auth::AuthSettings;
use crate::secret::Secret;
use crate::secrets_manager::SecretVariable;
use crate::url::trusted_url;
use http::Uri;

/// The modes that need each variable. A variable that the mode does not need must not
/// be set, because it would have no effect.
const VARIABLES: [(&str, &[&str]); 7] = [
    ("AUTH_ISSUER", &["jwt"]),
    ("AUTH_AUDIENCE", &["jwt"]),
    ("AUTH_JWKS_URL", &["jwt"]),
    ("AUTH_INTROSPECTION_URL", &["introspection"]),
    ("AUTH_CLIENT_ID", &["introspection"]),
    ("AUTH_CLIENT_SECRET", &["introspection"]),
    ("AUTH_CLIENT_SECRET_ARN", &["introspection"]),
];

impl Environment<'_> {
    /// Reads the authorization of callers. `off` is valid only if `is_local`.
    pub(super) fn auth(&mut self, is_local: bool) -> AuthSettings {
        let mode = match self.optional("AUTH") {
            None if is_local => "off".to_owned(),
            Some(mode) => mode,
            None => self.required("AUTH"),
        };
        for (name, modes) in VARIABLES {
            if !mode.is_empty() && !modes.contains(&mode.as_str()) && self.is_set(name) {
                self.problem(name, format_args!("has no meaning with AUTH={mode}"));
            }
        }
        match mode.as_str() {
            "jwt" => AuthSettings::Jwt {
                issuer: self.required("AUTH_ISSUER"),
                audience: self.required("AUTH_AUDIENCE"),
                jwks_url: self.url("AUTH_JWKS_URL"),
            },
            "introspection" => AuthSettings::Introspection {
                url: self.url("AUTH_INTROSPECTION_URL"),
                client_id: self.required("AUTH_CLIENT_ID"),
                client_secret: Secret::new(self.secret(SecretVariable::AuthClientSecret)),
            },
            "gateway" if !is_local => AuthSettings::Gateway,
            "gateway" => {
                self.problem("AUTH", "is gateway, but the local server is not behind API Gateway");
                AuthSettings::Off
            }
            "off" if is_local => AuthSettings::Off,
            "off" => {
                self.problem("AUTH", "is off, which only the local server may be");
                AuthSettings::Gateway
            }
            "" => AuthSettings::Gateway,
            _ => {
                self.problem("AUTH", "is not one of: gateway, jwt, introspection");
                AuthSettings::Gateway
            }
        }
    }

    /// Reads a required URL. If it is invalid, a problem is noted, and the returned URL is
    /// not used.
    fn url(&mut self, name: &str) -> Uri {
        let text = self.required(name);
        if text.is_empty() {
            return Uri::default();
        }
        trusted_url(&text).unwrap_or_else(|error| {
            self.problem(name, error);
            Uri::default()
        })
    }
}
