//! Opaque tokens. The token service verifies them (RFC 7662), and its answer is cached for
//! a minute.

use super::{Caller, Denied, Scopes, Validity, whole_units};
use crate::error::BoxError;
use crate::oauth::form;
use crate::payment::Timestamp;
use crate::secret::Secret;
use crate::transport::{NotAnswered, Transport};
use http::Uri;
use serde::Deserialize;
use serde_json::Number;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The time for which an answer is cached. A revoked token is accepted for no longer.
const CACHE_MS: u64 = 60_000;

/// The highest number of cached answers.
const CACHED_MAX: usize = 1_000;

const ANSWER_TIME: Duration = Duration::from_secs(2);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const INVALID_ANSWER: &str = "the answer of the token service cannot be read";

#[derive(Debug)]
pub(super) struct Introspection {
    url: Uri,
    client_id: String,
    client_secret: Secret,
    transport: Transport,
    /// The cached answers, by the hash of the token, so that no token is kept in memory.
    cache: Mutex<HashMap<TokenHash, Cached>>,
}

type TokenHash = [u8; 32];

#[derive(Debug)]
struct Cached {
    caller: Caller,
    until: Timestamp,
}

impl Introspection {
    pub(super) fn new(
        url: Uri,
        client_id: String,
        client_secret: Secret,
        transport: Transport,
    ) -> Self {
        Self { url, client_id, client_secret, transport, cache: Mutex::default() }
    }

    /// Connects to the token service. Sends no request, as there is no token yet.
    pub(super) async fn open_connections(&self, now: Timestamp, time: Duration) {
        self.transport.open(std::iter::once(&self.url), time, now).await;
    }

    /// The caller of an active token, from the cache or the token service.
    pub(super) async fn verify(
        &self,
        token: &Secret,
        now: Timestamp,
        time: Duration,
    ) -> Result<Caller, Denied> {
        let hash: TokenHash = Sha256::digest(token.reveal()).into();
        if let Some(cached) = self.cache().get(&hash).filter(|cached| now < cached.until) {
            return Ok(cached.caller.clone());
        }
        let answer = self.fetch(token, now, time.min(ANSWER_TIME)).await;
        let answer = answer.map_err(Denied::Unavailable)?;
        if !answer.active {
            return Err(Denied::InvalidToken("the token service does not know it as active"));
        }
        let validity = answer.validity();
        let validity = validity.ok_or_else(|| Denied::Unavailable(INVALID_ANSWER.into()))?;
        validity.check(now)?;
        let caller = answer.caller();
        let until = now.plus_ms(CACHE_MS);
        let until = validity.expires.map_or(until, |expires| expires.min(until));
        self.add_to_cache(hash, &caller, until, now);
        Ok(caller)
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<TokenHash, Cached>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an answer to the cache. If the cache is full, removes expired answers, or else
    /// the one that expires first.
    fn add_to_cache(&self, hash: TokenHash, caller: &Caller, until: Timestamp, now: Timestamp) {
        let mut cache = self.cache();
        if cache.len() >= CACHED_MAX {
            cache.retain(|_, cached| now < cached.until);
        }
        if cache.len() >= CACHED_MAX
            && let Some(first) = cache.iter().min_by_key(|(_, cached)| cached.until)
        {
            let first = *first.0;
            cache.remove(&first);
        }
        cache.insert(hash, Cached { caller: caller.clone(), until });
    }

    async fn fetch(
        &self,
        token: &Secret,
        now: Timestamp,
        time: Duration,
    ) -> Result<Introspected, BoxError> {
        let fields = [("token", token.reveal()), ("token_type_hint", "access_token")];
        let request = form(&self.url, &self.client_id, &self.client_secret, &fields)?;
        let exchanged = self.transport.exchange(request, time, ANSWER_BYTES_MAX, now).await;
        let answer = exchanged.map_err(NotAnswered::into_cause)?;
        if !answer.status.is_success() {
            return Err(format!("the token service answered {}", answer.status).into());
        }
        // The parser's message is dropped: it may quote the body.
        serde_json::from_slice(&answer.body).map_err(|_| INVALID_ANSWER.into())
    }
}

/// The answer of the token service about a token (RFC 7662, 2.2).
#[derive(Deserialize)]
struct Introspected {
    active: bool,
    scope: Option<String>,
    sub: Option<String>,
    client_id: Option<String>,
    exp: Option<Number>,
    nbf: Option<Number>,
}

impl Introspected {
    fn validity(&self) -> Option<Validity> {
        let instant = |date: &Option<Number>| match date {
            None => Some(None),
            Some(date) => whole_units(date).map(|date| Some(instant(date))),
        };
        Some(Validity { not_before: instant(&self.nbf)?, expires: instant(&self.exp)? })
    }

    fn caller(self) -> Caller {
        Caller {
            subject: self.sub.or(self.client_id),
            scopes: self.scope.as_deref().map(Scopes::parse).unwrap_or_default(),
        }
    }
}

/// Reads seconds since 1970, as in RFC 7662, or milliseconds, as some token services send
/// them. Numbers from 100000000000 on are milliseconds: as seconds, they are after 5138.
fn instant(date: u64) -> Timestamp {
    const MS_FROM: u64 = 100_000_000_000;
    Timestamp::from_ms(if date < MS_FROM { date.saturating_mul(1_000) } else { date })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Introspection {
        let url = Uri::from_static("http://127.0.0.1:9/introspect");
        let secret = Secret::new("secret".to_owned());
        Introspection::new(url, "id".to_owned(), secret, Transport::new().unwrap())
    }

    fn hash(number: usize) -> TokenHash {
        Sha256::digest(number.to_string()).into()
    }

    #[test]
    fn the_cache_has_a_limit() {
        let (service, caller) = (service(), Caller::default());
        let at = |number: usize| Timestamp::from_ms(1_000 + u64::try_from(number).unwrap());
        for number in 0..CACHED_MAX + 5 {
            service.add_to_cache(hash(number), &caller, at(number), Timestamp::EPOCH);
        }
        assert_eq!(service.cache().len(), CACHED_MAX);
        assert!(!service.cache().contains_key(&hash(4)), "the first to expire is removed first");
        assert!(service.cache().contains_key(&hash(5)));
        service.add_to_cache(hash(9_999), &caller, at(9_999), at(CACHED_MAX + 3));
        assert_eq!(service.cache().len(), 2, "expired answers are removed");
    }

    #[test]
    fn seconds_and_milliseconds_are_told_apart() {
        let expected = Timestamp::from_ms(1_795_338_000_000);
        assert_eq!(instant(1_795_338_000), expected);
        assert_eq!(instant(1_795_338_000_000), expected);
    }
}
