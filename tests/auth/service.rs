//! A token service that introspects tokens, and the variables of a function that uses it.

use crate::identity::record::{remember, secret};
use crate::identity::{Identity, decoded};
use crate::issuer::seconds;
use crate::stage::Variables;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

pub struct TokenService {
    pub identity: Identity,
    pub client_id: String,
    pub client_secret: String,
}

impl TokenService {
    /// Starts it. The client's id and secret have characters that a header must encode.
    pub async fn start() -> Self {
        let client_secret = secret("s/e+c=r%t: ü");
        let client_id = "shop:1 ü&=%".to_owned();
        Self { identity: Identity::start().await, client_id, client_secret }
    }

    pub fn variables(&self) -> Variables {
        vec![
            ("AUTH", "introspection".to_owned()),
            ("AUTH_INTROSPECTION_URL", self.identity.url("/introspect")),
            ("AUTH_CLIENT_ID", self.client_id.clone()),
            ("AUTH_CLIENT_SECRET", self.client_secret.clone()),
        ]
    }

    /// A new token with these scopes.
    pub fn grant(&self, scope: &str) -> String {
        self.token(active(scope))
    }

    /// A new token with this introspection answer.
    pub fn token(&self, says: Value) -> String {
        let token = secret("opaque");
        self.identity.grant(&token, says);
        token
    }
}

/// An active answer that is valid for an hour.
pub fn active(scope: &str) -> Value {
    json!({
        "active": true, "scope": scope, "client_id": "demo-shop", "token_type": "Bearer",
        "exp": seconds() + 3_600,
    })
}

/// Id and secret of a Basic header, as RFC 6749, 2.3.1 writes them.
pub fn basic(header: &str) -> (String, String) {
    let encoded = remember(header.strip_prefix("Basic ").unwrap());
    let text = String::from_utf8(BASE64.decode(encoded).unwrap()).unwrap();
    let (id, secret) = text.split_once(':').unwrap();
    // No character may be read as the separating colon or as a blank.
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
    assert_eq!(text.matches(':').count(), 1, "{text}");
    (decoded(id), decoded(&remember(secret)))
}
