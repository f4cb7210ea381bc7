//! The tokens that are fetched with client credentials. They are cached until shortly
//! before they expire, and fetched by one caller at a time.

use super::settings::ClientCredentials;
use crate::error::BoxError;
use crate::oauth::form;
use crate::payment::Timestamp;
use crate::secret::Secret;
use crate::transport::{NotAnswered, Transport};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// The time before its expiry at which a token is renewed, so that it outlives the call.
const RENEW_BEFORE_MS: u64 = 60_000;

/// The assumed lifetime of a token whose issuer does not state it.
const DEFAULT_LIFE_S: u64 = 300;

const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The cached tokens, by token endpoint, client and scope. Each has a separate lock, so
/// that a slow token service delays no other token.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    cached: SyncMutex<HashMap<String, Arc<Mutex<Option<Token>>>>>,
}

#[derive(Clone, Debug)]
struct Token {
    bearer: Secret,
    renew_at: Timestamp,
}

impl Tokens {
    /// A token that is valid for a call.
    pub(super) async fn get(
        &self,
        transport: &Transport,
        credentials: &ClientCredentials,
        now: Timestamp,
        time: Duration,
    ) -> Result<Secret, BoxError> {
        let (began, entry) = (Instant::now(), self.entry(credentials));
        // Locked while a token is fetched, so that other callers wait for that token.
        let mut cached = tokio::time::timeout(time, entry.lock()).await?;
        if let Some(token) = cached.as_ref().filter(|token| now < token.renew_at) {
            return Ok(token.bearer.clone());
        }
        let left = time.saturating_sub(began.elapsed());
        let token = fetch(transport, credentials, now, left).await?;
        Ok(cached.insert(token).bearer.clone())
    }

    /// Drops a token that was refused, unless another one has replaced it.
    pub(super) async fn drop_refused(&self, credentials: &ClientCredentials, refused: &Secret) {
        let entry = self.entry(credentials);
        let mut cached = entry.lock().await;
        if cached.as_ref().is_some_and(|token| token.bearer == *refused) {
            *cached = None;
        }
    }

    fn entry(&self, credentials: &ClientCredentials) -> Arc<Mutex<Option<Token>>> {
        let ClientCredentials { token_url, client_id, scope, .. } = credentials;
        let name = format!("{token_url}\n{client_id}\n{}", scope.as_deref().unwrap_or_default());
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(cached.entry(name).or_default())
    }
}

async fn fetch(
    transport: &Transport,
    credentials: &ClientCredentials,
    now: Timestamp,
    time: Duration,
) -> Result<Token, BoxError> {
    let ClientCredentials { token_url, client_id, client_secret, scope } = credentials;
    let scope = scope.as_deref().map(|scope| ("scope", scope));
    let fields = [("grant_type", "client_credentials")].into_iter().chain(scope);
    let request = form(token_url, client_id, client_secret, &fields.collect::<Vec<_>>())?;
    let exchanged = transport.exchange(request, time, ANSWER_BYTES_MAX, now).await;
    let answer = exchanged.map_err(NotAnswered::into_cause)?;
    if !answer.status.is_success() {
        return Err(format!("the token service answered {}", answer.status).into());
    }
    let granted: TokenBody = serde_json::from_slice(&answer.body)
        .map_err(|_| "the answer of the token service has no token")?;
    let life_ms = granted.expires_in.unwrap_or(DEFAULT_LIFE_S).saturating_mul(1_000);
    // A token with a short lifetime is used for half of it.
    let used_ms = life_ms.saturating_sub(RENEW_BEFORE_MS).max(life_ms / 2);
    Ok(Token { bearer: Secret::new(granted.access_token), renew_at: now.plus_ms(used_ms) })
}

#[derive(Deserialize)]
struct TokenBody {
    access_token: String,
    expires_in: Option<u64>,
}
