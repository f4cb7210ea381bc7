//! Calls of `Auth` in the test's own process, where the test chooses the time.

use crate::identity::Identity;
use crate::issuer::{AUDIENCE, ISSUER, Issuer};
use payment_intents::auth::{Auth, AuthSettings, Denied, PresentedCredentials};
use payment_intents::payment::{ProjectKey, Timestamp};
use payment_intents::secret::Secret;
use payment_intents::transport::Transport;
use std::time::Duration;

pub const MINUTE: u64 = 60_000;
pub const HOUR: u64 = 60 * MINUTE;

/// The outcome of a call, as a word.
pub const OK: &str = "ok";
pub const INVALID: &str = "invalid";
pub const UNAVAILABLE: &str = "unavailable";

pub struct InProcessAuth {
    auth: Auth,
    project: ProjectKey,
}

impl InProcessAuth {
    pub fn jwt(issuer: &Issuer) -> Self {
        Self::with(AuthSettings::Jwt {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            jwks_url: issuer.identity.url("/keys").parse().unwrap(),
        })
    }

    pub fn introspection(identity: &Identity) -> Self {
        Self::with(AuthSettings::Introspection {
            url: identity.url("/introspect").parse().unwrap(),
            client_id: "us".to_owned(),
            client_secret: Secret::new("secret".to_owned()),
        })
    }

    fn with(settings: AuthSettings) -> Self {
        let auth = Auth::new(settings, Transport::new().unwrap());
        Self { auth, project: ProjectKey::parse("demo").unwrap() }
    }

    pub async fn open_connections(&self, now: Timestamp) {
        self.auth.open_connections(now, Duration::from_secs(1)).await;
    }

    pub async fn at(&self, now: Timestamp, token: &str) -> &'static str {
        self.within(Duration::from_secs(20), now, token).await
    }

    pub async fn within(&self, time: Duration, now: Timestamp, token: &str) -> &'static str {
        let bearer = Secret::new(token.to_owned());
        let shown = PresentedCredentials { verified: None, bearer: Some(&bearer) };
        let names = &["manage_project"];
        match self.auth.authorize(shown, names, &self.project, now, time).await {
            Ok(_) => OK,
            Err(Denied::NoToken) => "no token",
            Err(Denied::InvalidToken(_)) => INVALID,
            Err(Denied::MissingScope(_)) => "missing scope",
            Err(Denied::Unavailable(_)) => UNAVAILABLE,
        }
    }
}

/// The time at which the tests begin.
pub fn start() -> Timestamp {
    Timestamp::from_ms(1_795_338_000_000)
}
