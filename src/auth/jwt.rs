//! Tokens that are JWTs, signed by a key of the issuer's set (RFC 7517). The key in the
//! set, and not the token, determines the algorithm.

use super::{Caller, Denied, Scopes, Validity, signature, whole_units};
use crate::error::BoxError;
use crate::payment::Timestamp;
use crate::secret::Secret;
use crate::transport::{NotAnswered, Transport};
use http::{Request, Uri, header};
use http_body_util::Full;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Number;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// The shortest time between two fetches of the keys, so that tokens with invented key ids
/// do not cause many fetches.
const REFRESH_INTERVAL_MS: u64 = 60_000;

/// The time for which fetched keys are used. A revoked key is accepted for no longer.
const KEYS_LIFE_MS: u64 = 3_600_000;

const FETCH_TIME: Duration = Duration::from_secs(2);
const KEYS_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Jwt {
    issuer: String,
    audience: String,
    jwks_url: Uri,
    transport: Transport,
    keys: RwLock<Arc<Keys>>,
    refreshing: Mutex<()>,
}

/// The issuer's keys that were fetched.
#[derive(Clone, Debug, Default)]
struct Keys {
    by_id: Arc<HashMap<String, Key>>,
    /// When they were fetched; `None` before the first fetch.
    fetched_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
    /// The error of the last try, if it failed.
    failure: Option<Arc<BoxError>>,
}

#[derive(Clone, Debug)]
struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Jwt {
    pub(super) fn new(issuer: &str, audience: &str, jwks_url: Uri, transport: Transport) -> Self {
        signature::install();
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            jwks_url,
            transport,
            keys: RwLock::default(),
            refreshing: Mutex::default(),
        }
    }

    pub(super) async fn open_connections(&self, now: Timestamp, time: Duration) {
        self.refresh(now, time).await;
    }

    pub(super) async fn verify(
        &self,
        token: &Secret,
        now: Timestamp,
        time: Duration,
    ) -> Result<Caller, Denied> {
        let header = decode_header(token.reveal()).map_err(|_| invalid("it is not a JWT"))?;
        let id = key_id(&header)?;
        let key = self.key(id, now, time).await?;
        if key.algorithm != header.alg {
            return Err(invalid("its algorithm is not that of its key"));
        }
        let read = decode::<Claims>(token.reveal(), &key.key, &self.validation(key.algorithm));
        let claims =
            read.map_err(|_| invalid("its signature, issuer or audience is wrong"))?.claims;
        claims.validity()?.check(now)?;
        Ok(claims.caller())
    }

    /// The checks of the JWT library. The expiry is not one of them: it is checked here, by
    /// our clock.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.validate_exp = false;
        validation
    }

    async fn key(&self, id: &str, now: Timestamp, time: Duration) -> Result<Key, Denied> {
        let known = self.known();
        let is_fresh = known.fetched_at.is_some_and(|at| now.ms_since(at) < KEYS_LIFE_MS);
        let known = match known.by_id.get(id) {
            Some(key) if is_fresh => return Ok(key.clone()),
            _ => self.refresh(now, time).await,
        };
        match (known.by_id.get(id), known.failure.clone()) {
            (Some(key), _) => Ok(key.clone()),
            (None, None) => Err(invalid("its key is unknown")),
            (None, Some(failure)) => Err(Denied::Unavailable(failure.to_string().into())),
        }
    }

    fn known(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fetches the keys, unless that was tried recently. If it fails, the earlier keys are
    /// kept.
    async fn refresh(&self, now: Timestamp, time: Duration) -> Arc<Keys> {
        let (began, time) = (Instant::now(), time.min(FETCH_TIME));
        let before = self.known();
        let locked = timeout(time, self.refreshing.lock()).await;
        let known = self.known();
        let Ok(_guard) = locked else {
            let failure: BoxError = "another request fetches the keys for too long".into();
            return Arc::new(Keys { failure: Some(Arc::new(failure)), ..Keys::clone(&known) });
        };
        let is_tried = known.tried_at.is_some_and(|at| now.ms_since(at) < REFRESH_INTERVAL_MS);
        // A request that waited for another fetch uses the result of that one.
        if !Arc::ptr_eq(&before, &known) || is_tried && known.fetched_at.is_some() {
            return known;
        }
        let keys = match self.fetch(now, time.saturating_sub(began.elapsed())).await {
            Ok(by_id) => Keys {
                by_id: Arc::new(by_id),
                fetched_at: Some(now),
                tried_at: Some(now),
                failure: None,
            },
            Err(error) => {
                tracing::warn!(error = error.to_string(), "the issuer's keys cannot be fetched");
                let failure = Some(Arc::new(error));
                Keys { tried_at: Some(now), failure, ..Keys::clone(&known) }
            }
        };
        let keys = Arc::new(keys);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&keys);
        keys
    }

    async fn fetch(
        &self,
        now: Timestamp,
        time: Duration,
    ) -> Result<HashMap<String, Key>, BoxError> {
        let request = Request::get(&self.jwks_url)
            .header(header::ACCEPT, "application/json")
            .body(Full::default())?;
        let exchanged = self.transport.exchange(request, time, KEYS_BYTES_MAX, now).await;
        let answer = exchanged.map_err(NotAnswered::into_cause)?;
        if !answer.status.is_success() {
            return Err(format!("the key server answered {}", answer.status).into());
        }
        let set: Set = serde_json::from_slice(&answer.body)
            .map_err(|_| "the answer of the key server is not a key set")?;
        let keys: HashMap<_, _> = set.keys.iter().filter_map(|key| read(key)).collect();
        // An empty set would refuse all callers, and is most likely a mistake.
        if keys.is_empty() {
            return Err("the key set has no key that can be used".into());
        }
        Ok(keys)
    }
}

fn invalid(reason: &'static str) -> Denied {
    Denied::InvalidToken(reason)
}

/// The id of the key that signed the token. A token is refused if it contains its key or
/// the address of its key, or uses an extension that is not supported.
fn key_id(header: &Header) -> Result<&str, Denied> {
    let types = ["jwt", "at+jwt", "application/at+jwt"];
    let is_a_type = |given: &String| types.iter().any(|known| known.eq_ignore_ascii_case(given));
    if !header.typ.as_ref().is_none_or(is_a_type) {
        return Err(invalid("it is not of the type of an access token"));
    }
    let Header { jku, jwk, x5u, x5c, crit, enc, zip, .. } = header;
    if jku.is_some() || jwk.is_some() || x5u.is_some() || x5c.is_some() {
        return Err(invalid("it contains its key or the address of its key"));
    }
    if crit.is_some() || enc.is_some() || zip.is_some() {
        return Err(invalid("it is encrypted, compressed, or has critical extensions"));
    }
    header.kid.as_deref().ok_or_else(|| invalid("it names no key"))
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Box<RawValue>>,
}

/// Reads a key for signatures with one of the two supported algorithms. `None` for other
/// keys.
fn read(key: &RawValue) -> Option<(String, Key)> {
    let jwk: Jwk = serde_json::from_str(key.get()).ok()?;
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(_) => (Algorithm::ES256, KeyAlgorithm::ES256),
        _ => return None,
    };
    let common = &jwk.common;
    let is_named = common.key_algorithm.is_none_or(|given| given == named);
    let signs =
        common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let operations = common.key_operations.as_ref();
    let verifies = operations.is_none_or(|list| list.contains(&KeyOperations::Verify));
    if !(is_named && signs && verifies) {
        return None;
    }
    let id = common.key_id.clone()?;
    Some((id, Key { algorithm, key: DecodingKey::from_jwk(&jwk).ok()? }))
}

/// The claims of a token that are used.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    client_id: Option<String>,
    exp: Number,
    nbf: Option<Number>,
    scope: Option<ScopeClaim>,
    scp: Option<ScopeClaim>,
}

/// The scopes, as text or as a list. Issuers use both forms.
#[derive(Deserialize)]
#[serde(untagged)]
enum ScopeClaim {
    Text(String),
    List(Vec<String>),
}

impl Claims {
    fn validity(&self) -> Result<Validity, Denied> {
        Ok(Validity {
            expires: Some(instant(&self.exp)?),
            not_before: self.nbf.as_ref().map(instant).transpose()?,
        })
    }

    fn caller(self) -> Caller {
        let claims = [self.scope, self.scp].into_iter().flatten();
        let scopes = claims.map(|claim| match claim {
            ScopeClaim::Text(text) => Scopes::parse(&text),
            ScopeClaim::List(list) => Scopes::parse(&list.join(" ")),
        });
        Caller {
            subject: self.sub.or(self.client_id),
            scopes: scopes.reduce(Scopes::and).unwrap_or_default(),
        }
    }
}

/// Reads seconds since 1970 (RFC 7519, 2).
fn instant(date: &Number) -> Result<Timestamp, Denied> {
    let seconds =
        whole_units(date).ok_or_else(|| invalid("its exp or nbf is not a number of seconds"))?;
    Ok(Timestamp::from_ms(seconds.saturating_mul(1_000)))
}
