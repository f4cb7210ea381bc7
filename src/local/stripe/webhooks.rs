//! The webhooks of the Stripe on localhost: each event in order, repeated until it is
//! accepted.

use super::StripeSandbox;
use crate::clock::SystemClock;
use crate::error::BoxError;
use crate::ports::Clock;
use crate::transport::Transport;
use http::{Request, Uri};
use http_body_util::Full;
use std::time::Duration;

/// The highest number of attempts to send an event.
const TRIES_MAX: usize = 5;

/// The pause after an event that was not accepted, and between two checks for new events.
const PAUSE_MS: u64 = 200;

impl StripeSandbox {
    /// Sends its signed events to `url`, as long as the process runs.
    pub(in crate::local) async fn send_webhooks(self, transport: Transport, url: Uri) {
        let mut sent = 0;
        loop {
            for event in self.events().into_iter().skip(sent) {
                sent = sent.saturating_add(1);
                for _ in 0..TRIES_MAX {
                    match send(&transport, &url, &event.to_string()).await {
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
async fn send(transport: &Transport, url: &Uri, body: &str) -> Result<bool, BoxError> {
    const TIME: Duration = Duration::from_secs(20);
    const ANSWER_BYTES_MAX: usize = 64 * 1024;
    let now = SystemClock.now();
    let signature = StripeSandbox::signature(StripeSandbox::WEBHOOK_SECRET, body, now);
    let request = Request::post(url)
        .header("content-type", "application/json; charset=utf-8")
        .header("stripe-signature", signature)
        .body(Full::from(body.to_owned()))?;
    let exchanged = transport.exchange(request, TIME, ANSWER_BYTES_MAX, now).await;
    Ok(exchanged.is_ok_and(|answer| answer.status.is_success()))
}
