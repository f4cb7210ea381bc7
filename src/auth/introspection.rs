//! Opaque tokens: the token service is asked what they grant (RFC 7662), and its
//! word is kept for a minute.

use super::{Caller, Denied, Life, Scopes, whole};
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

/// A token that was taken back is believed for no longer than this.
const KEPT_MS: u64 = 60_000;

/// One function instance hardly meets more callers in a minute.
const KEPT_MAX: usize = 1_000;

const ANSWER_TIME: Duration = Duration::from_secs(2);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const NOT_ABOUT_A_TOKEN: &str = "the token service answered something else than about a token";

#[derive(Debug)]
pub(super) struct Introspection {
    url: Uri,
    client_id: String,
    client_secret: Secret,
    transport: Transport,
    /// By the hash of the token, so that no token lies about in memory.
    kept: Mutex<HashMap<TokenHash, Kept>>,
}

type TokenHash = [u8; 32];

#[derive(Debug)]
struct Kept {
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
        Self { url, client_id, client_secret, transport, kept: Mutex::default() }
    }

    /// Nobody can be asked about a token that nobody has shown yet.
    pub(super) async fn open_connections(&self, now: Timestamp, time: Duration) {
        self.transport.open(std::iter::once(&self.url), time, now).await;
    }

    pub(super) async fn ask(
        &self,
        token: &Secret,
        now: Timestamp,
        time: Duration,
    ) -> Result<Caller, Denied> {
        let hash: TokenHash = Sha256::digest(token.reveal()).into();
        if let Some(kept) = self.kept().get(&hash).filter(|kept| now < kept.until) {
            return Ok(kept.caller.clone());
        }
        let answer = self.fetch(token, now, time.min(ANSWER_TIME)).await;
        let answer = answer.map_err(Denied::Unavailable)?;
        if !answer.active {
            return Err(Denied::InvalidToken("the token service does not know it as active"));
        }
        let life = answer.life().ok_or_else(|| Denied::Unavailable(NOT_ABOUT_A_TOKEN.into()))?;
        life.check(now)?;
        let caller = answer.caller();
        let until = now.plus_ms(KEPT_MS);
        self.keep(hash, &caller, life.expires.map_or(until, |expires| expires.min(until)), now);
        Ok(caller)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<TokenHash, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room first: by what is over, else by what is over soonest.
    fn keep(&self, hash: TokenHash, caller: &Caller, until: Timestamp, now: Timestamp) {
        let mut kept = self.kept();
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, kept| now < kept.until);
        }
        if kept.len() >= KEPT_MAX
            && let Some(soonest) = kept.iter().min_by_key(|(_, kept)| kept.until)
        {
            let soonest = *soonest.0;
            kept.remove(&soonest);
        }
        kept.insert(hash, Kept { caller: caller.clone(), until });
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
        // What the reader says of it may repeat a part of it.
        serde_json::from_slice(&answer.body).map_err(|_| NOT_ABOUT_A_TOKEN.into())
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
    fn life(&self) -> Option<Life> {
        let instant = |date: &Option<Number>| match date {
            None => Some(None),
            Some(date) => whole(date).map(|date| Some(instant(date))),
        };
        Some(Life { not_before: instant(&self.nbf)?, expires: instant(&self.exp)? })
    }

    fn caller(self) -> Caller {
        Caller {
            subject: self.sub.or(self.client_id),
            scopes: self.scope.as_deref().map(Scopes::parse).unwrap_or_default(),
        }
    }
}

/// Seconds since 1970, as RFC 7662 has it, or milliseconds, as some token services
/// do: those of 1973 are the seconds of the year 5138.
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
    fn no_more_is_kept_than_there_is_room_for() {
        let (service, caller) = (service(), Caller::default());
        let at = |number: usize| Timestamp::from_ms(1_000 + u64::try_from(number).unwrap());
        for number in 0..KEPT_MAX + 5 {
            service.keep(hash(number), &caller, at(number), Timestamp::from_ms(0));
        }
        assert_eq!(service.kept().len(), KEPT_MAX);
        assert!(!service.kept().contains_key(&hash(4)), "the first to end goes first");
        assert!(service.kept().contains_key(&hash(5)));
        service.keep(hash(9_999), &caller, at(9_999), at(KEPT_MAX + 3));
        assert_eq!(service.kept().len(), 2, "what is over makes room");
    }

    #[test]
    fn seconds_and_milliseconds_are_told_apart() {
        let expected = Timestamp::from_ms(1_795_338_000_000);
        assert_eq!(instant(1_795_338_000), expected);
        assert_eq!(instant(1_795_338_000_000), expected);
    }
}
