//! Tokens of our own: fetched with client credentials, kept until shortly before
//! they expire, and fetched by one caller at a time.

use super::settings::ClientCredentials;
use super::transport::{NotAnswered, Transport};
use crate::payment::Timestamp;
use crate::ports::{BoxError, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use hyper::body::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::Mutex;

/// A token is not used in the last part of its life: it must outlive the call.
const RENEW_BEFORE_MS: u64 = 60_000;

/// How long a token lives whose issuer does not say.
const DEFAULT_LIFE_S: u64 = 300;

const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The tokens at hand, by token endpoint, client and scope.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    kept: Mutex<HashMap<String, Token>>,
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
        // Held while a token is fetched: whoever else wants it waits for it.
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.get(&name(credentials)).filter(|token| now < token.renew_at) {
            return Ok(token.bearer.clone());
        }
        let token = fetch(transport, credentials, now, time).await?;
        let bearer = token.bearer.clone();
        kept.insert(name(credentials), token);
        Ok(bearer)
    }

    /// Drops a token that was refused.
    pub(super) async fn forget(&self, credentials: &ClientCredentials) {
        self.kept.lock().await.remove(&name(credentials));
    }
}

fn name(credentials: &ClientCredentials) -> String {
    let ClientCredentials { token_url, client_id, scope, .. } = credentials;
    format!("{token_url}\n{client_id}\n{}", scope.as_deref().unwrap_or_default())
}

async fn fetch(
    transport: &Transport,
    credentials: &ClientCredentials,
    now: Timestamp,
    time: Duration,
) -> Result<Token, BoxError> {
    let exchanged = transport.exchange(request(credentials)?, time, ANSWER_BYTES_MAX, now).await;
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

/// The credentials go into the header, form-encoded as RFC 6749, 2.3.1 wants it.
fn request(credentials: &ClientCredentials) -> Result<Request<Full<Bytes>>, BoxError> {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let ClientCredentials { token_url, client_id, client_secret, scope } = credentials;
    let basic = format!("{}:{}", encoded(client_id), encoded(client_secret.reveal()));
    let mut basic = HeaderValue::try_from(format!("Basic {}", BASE64.encode(basic)))?;
    basic.set_sensitive(true);
    let mut form = "grant_type=client_credentials".to_owned();
    if let Some(scope) = scope {
        form.push_str("&scope=");
        form.extend(encoded(scope));
    }
    let request = Request::post(token_url)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json")
        .header(header::AUTHORIZATION, basic);
    Ok(request.body(Full::from(form))?)
}
