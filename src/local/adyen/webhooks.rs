//! The webhooks of the Adyen on localhost: each event in order, repeated until it is
//! accepted.

use super::AdyenSandbox;
use crate::clock::SystemClock;
use crate::error::BoxError;
use crate::ports::Clock;
use crate::transport::Transport;
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use serde_json::Value;
use std::time::Duration;

/// The highest number of attempts to send an event.
const TRIES_MAX: usize = 5;

/// The pause after an event that was not accepted, and between two checks for new events.
const PAUSE_MS: u64 = 200;

impl AdyenSandbox {
    /// Sends its events to `url`, as long as the process runs.
    pub(in crate::local) async fn send_webhooks(self, transport: Transport, url: Uri) {
        let mut sent = 0;
        loop {
            for event in self.events().into_iter().skip(sent) {
                sent = sent.saturating_add(1);
                for _ in 0..TRIES_MAX {
                    match send(&transport, &url, &event).await {
                        Ok(true) => break,
                        Ok(false) | Err(_) => SystemClock.sleep_ms(PAUSE_MS).await,
                    }
                }
            }
            SystemClock.sleep_ms(PAUSE_MS).await;
        }
    }
}

/// Sends an event once. Returns true if it was accepted.
async fn send(transport: &Transport, url: &Uri, event: &Value) -> Result<bool, BoxError> {
    const TIME: Duration = Duration::from_secs(10);
    const ANSWER_BYTES_MAX: usize = 64 * 1024;
    let body = AdyenSandbox::notification(std::slice::from_ref(event)).to_string();
    let request = Request::post(url)
        .header("content-type", "application/json; charset=utf-8")
        .body(Full::from(body))?;
    let exchanged = transport.exchange(request, TIME, ANSWER_BYTES_MAX, SystemClock.now()).await;
    Ok(exchanged.is_ok_and(|answer| {
        answer.status == StatusCode::OK && answer.body.as_ref() == b"[accepted]"
    }))
}
