//! Tokens of our own: fetched with client credentials, kept until shortly before
//! they expire, and fetched by one caller at a time.

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

/// A token is not used in the last part of its life: it must outlive the call.
const RENEW_BEFORE_MS: u64 = 60_000;

/// The assumed life of a token whose issuer does not state it.
const DEFAULT_LIFE_S: u64 = 300;

const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The tokens at hand, by token endpoint, client and scope. Each has a lock of
/// its own: one slow token service delays nobody else.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    kept: SyncMutex<HashMap<String, Arc<Mutex<Option<Token>>>>>,
}

#[derive(Clone, Debug)]
struct Token {
    bearer: Secret,
    renew_at: Timestamp,
}

impl Tokens {
    /// A token that is good for this call.
    pub(super) async fn get(
        &self,
        transport: &Transport,
        credentials: &ClientCredentials,
        now: Timestamp,
        time: Duration,
    ) -> Result<Secret, BoxError> {
        let (began, place) = (Instant::now(), self.place(credentials));
        // Held while a token is fetched: whoever else wants it waits for it.
        let mut kept = tokio::time::timeout(time, place.lock()).await?;
        if let Some(token) = kept.as_ref().filter(|token| now < token.renew_at) {
            return Ok(token.bearer.clone());
        }
        let left = time.saturating_sub(began.elapsed());
        let token = fetch(transport, credentials, now, left).await?;
        Ok(kept.insert(token).bearer.clone())
    }

    /// Drops a token that was refused, unless it was replaced meanwhile.
    pub(super) async fn forget(&self, credentials: &ClientCredentials, refused: &Secret) {
        let place = self.place(credentials);
        let mut kept = place.lock().await;
        if kept.as_ref().is_some_and(|token| token.bearer == *refused) {
            *kept = None;
        }
    }

    fn place(&self, credentials: &ClientCredentials) -> Arc<Mutex<Option<Token>>> {
        let ClientCredentials { token_url, client_id, scope, .. } = credentials;
        let name = format!("{token_url}\n{client_id}\n{}", scope.as_deref().unwrap_or_default());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(kept.entry(name).or_default())
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
    let granted: Granted = serde_json::from_slice(&answer.body)
        .map_err(|_| "the token service answered something else than a token")?;
    let life_ms = granted.expires_in.unwrap_or(DEFAULT_LIFE_S).saturating_mul(1_000);
    // A token that lives for less than that is used for half its life.
    let used_ms = life_ms.saturating_sub(RENEW_BEFORE_MS).max(life_ms / 2);
    Ok(Token { bearer: Secret::new(granted.access_token), renew_at: now.plus_ms(used_ms) })
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}
