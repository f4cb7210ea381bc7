//! An issuer of JWTs, and the variables of a function that trusts it.

use crate::identity::keys::{SigningKey, set};
use crate::identity::{Identity, Reply, Role};
use crate::stage::Variables;
use payment_intents::clock::SystemClock;
use payment_intents::ports::Clock;
use serde_json::{Value, json};
use uuid::Uuid;

pub const ISSUER: &str = "https://tokens.example/demo";
pub const AUDIENCE: &str = "payment-intents";

/// Scopes for all routes of the API, in the project of the tests.
pub const ALL: &str = "manage_project:demo";

pub struct Issuer {
    pub identity: Identity,
    pub rsa: SigningKey,
    pub ec: SigningKey,
    /// A key of the set that is not for signatures.
    pub enc: SigningKey,
}

impl Issuer {
    pub async fn start() -> Self {
        let issuer = Self {
            identity: Identity::start().await,
            rsa: SigningKey::rs256("rsa-1"),
            ec: SigningKey::es256("ec-1"),
            enc: SigningKey::es256("enc-1"),
        };
        let mut enc = issuer.enc.jwk();
        enc["use"] = json!("enc");
        // Key sets have members that the service ignores.
        let strange = json!({"kid": "strange-1", "kty": "strange"});
        issuer.publish(&[issuer.rsa.jwk(), strange, issuer.ec.jwk(), enc]);
        issuer
    }

    /// Replaces the published key set.
    pub fn publish(&self, keys: &[Value]) {
        self.identity.usually(Role::Keys, Reply::Says(200, set(keys)));
    }

    pub fn variables(&self) -> Variables {
        vec![
            ("AUTH", "jwt".to_owned()),
            ("AUTH_ISSUER", ISSUER.to_owned()),
            ("AUTH_AUDIENCE", AUDIENCE.to_owned()),
            ("AUTH_JWKS_URL", self.identity.url("/keys")),
        ]
    }
}

/// Claims that are valid for an hour, with a unique `jti`.
pub fn claims(scope: impl Into<Value>) -> Value {
    let now = seconds();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "demo-shop", "jti": Uuid::new_v4().to_string(),
        "iat": now, "exp": now + 3_600, "scope": scope.into(),
    })
}

/// The claims, with another value for one of them.
pub fn with_value(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

/// The claims, without one of them.
pub fn without_value(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

pub fn seconds() -> u64 {
    SystemClock.now().ms() / 1_000
}
