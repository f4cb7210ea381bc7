//! A value that is built from secrets, and built again after a secret was rotated.

use super::Secrets;
use crate::error::{BoxError, causes};
use crate::payment::Timestamp;
use crate::transport::Transport;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The age at which secrets are read again, so that a rotated secret is used within 5
/// minutes.
const AGE_MAX_MS: u64 = 240_000;

/// The pause after which a failed reading is repeated, and the shortest time between two
/// readings because of a refused secret: a secret that stays wrong is not read with each
/// event.
const PAUSE_MS: u64 = 10_000;

/// A value that is built from the secrets in the environment.
pub struct Renewed<T, V, B> {
    variable: V,
    transport: Transport,
    build: B,
    current: Mutex<Option<Current<T>>>,
}

struct Current<T> {
    value: Arc<T>,
    secrets: Secrets,
    /// The time of the next reading because of the age.
    read_at: Timestamp,
    /// The time from which on a refused secret is read again.
    refused_from: Timestamp,
}

impl<T, V, B> Renewed<T, V, B>
where
    V: Fn(&str) -> Option<String>,
    B: Fn(&Secrets) -> Result<T, BoxError>,
{
    /// A value that `build` makes of the secrets that the environment names.
    pub fn new(variable: V, transport: Transport, build: B) -> Self {
        Self { variable, transport, build, current: Mutex::default() }
    }

    /// Sets the value that was built from these secrets before the first event.
    pub async fn set(&self, value: T, secrets: Secrets, now: Timestamp) -> Arc<T> {
        let mut current = self.current.lock().await;
        Arc::clone(&current.insert(Current::new(value, secrets, now)).value)
    }

    /// The value for an event. The secrets are read with the first event, if they were
    /// pending, and again if they are old or `is_refused`: a service did not accept one.
    /// Without a valid new secret, the value stays.
    pub async fn get(
        &self,
        now: Timestamp,
        is_refused: impl Fn(&T) -> bool,
    ) -> Result<Arc<T>, BoxError> {
        let mut current = self.current.lock().await;
        let current = match &mut *current {
            Some(current) => {
                if current.is_due(now, is_refused(&current.value)) {
                    self.renew(current, now).await;
                }
                current
            }
            None => {
                let secrets = Secrets::with_event(&self.variable, &self.transport).await;
                let value = (self.build)(&secrets)?;
                current.insert(Current::new(value, secrets, now))
            }
        };
        Ok(Arc::clone(&current.value))
    }

    async fn renew(&self, current: &mut Current<T>, now: Timestamp) {
        let secrets = Secrets::at_start(&self.variable, &self.transport).await;
        current.refused_from = now.plus_ms(PAUSE_MS);
        current.read_at = now.plus_ms(PAUSE_MS);
        if let Some(error) = secrets.error() {
            tracing::warn!(error, "a secret cannot be read again; the earlier one is used");
            return;
        }
        current.read_at = now.plus_ms(AGE_MAX_MS);
        if secrets.are_equal(&current.secrets) {
            return;
        }
        match (self.build)(&secrets) {
            Ok(value) => {
                tracing::info!("a secret was rotated; the new one is used");
                *current = Current { value: Arc::new(value), secrets, ..*current };
            }
            Err(error) => {
                let error = causes(error.as_ref());
                tracing::error!(error, "a rotated secret is invalid; the earlier one is used");
            }
        }
    }
}

impl<T> Current<T> {
    fn new(value: T, secrets: Secrets, now: Timestamp) -> Self {
        let read_at = now.plus_ms(AGE_MAX_MS);
        Self { value: Arc::new(value), secrets, read_at, refused_from: now }
    }

    fn is_due(&self, now: Timestamp, is_refused: bool) -> bool {
        let is_old = now >= self.read_at;
        !self.secrets.is_empty() && (is_old || (is_refused && now >= self.refused_from))
    }
}
