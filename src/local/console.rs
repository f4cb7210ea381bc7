//! The console: a page that shows the Payments, the PSP's own ledger, requests as they
//! were on the wire, and the log. It is told what changes by server-sent events.

mod exchange;
mod files;
mod snapshot;

pub(super) use exchange::Exchange;
pub(super) use snapshot::Source;

use super::listen::Stopped;
use super::log::Line;
use crate::error::BoxError;
use futures_util::stream::unfold;
use http::{HeaderMap, HeaderValue, Method, Response, header, request};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, broadcast};

/// The body of any response: whole, or a stream of events.
pub(super) type Body = BoxBody<Bytes, Infallible>;

/// The exchanges and lines that a page gets that is opened later.
const KEPT_MAX: usize = 600;

/// The time after which a change is seen that came past this server.
const LOOK: Duration = Duration::from_secs(1);

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// The exchanges, the lines of the log and the state that open pages are sent.
#[derive(Clone, Debug, Default)]
pub struct Console(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Exchanges and lines of the log, as events.
    kept: Mutex<VecDeque<String>>,
    /// The last snapshot, as an event.
    state: Mutex<String>,
    changed: Notify,
    events: broadcast::Sender<String>,
}

impl Default for Shared {
    fn default() -> Self {
        let (events, _) = broadcast::channel(KEPT_MAX);
        Self { kept: Mutex::default(), state: Mutex::default(), changed: Notify::new(), events }
    }
}

impl Console {
    /// Shows a line of the log.
    pub fn log(&self, line: &Line) {
        let fields: serde_json::Map<_, _> =
            line.fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let level = line.level.as_str();
        self.keep(event(
            "log",
            &json!({"at": line.at, "level": level, "message": line.message, "fields": fields}),
        ));
    }

    /// Shows an exchange, and what it changed.
    pub(super) fn show(&self, exchange: &Exchange) {
        self.keep(event("exchange", &json!(exchange)));
        self.0.changed.notify_one();
    }

    fn keep(&self, event: String) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(event.clone());
        // Within the lock, so that a page that opens now gets it exactly once.
        let _ = self.0.events.send(event);
    }

    /// Tells the pages what changes, for as long as the process lives. Nothing is read
    /// while no page is open.
    pub(super) async fn watch(self, source: Source) {
        loop {
            if self.0.events.receiver_count() > 0 {
                match source.snapshot().await {
                    Ok(snapshot) => self.update(event("state", &snapshot)),
                    Err(error) => tracing::debug!(error, "the Payments cannot be shown"),
                }
                tokio::time::sleep(PAUSE).await;
            }
            let _ = tokio::time::timeout(LOOK, self.0.changed.notified()).await;
        }
    }

    fn update(&self, state: String) {
        let mut last = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != state {
            last.clone_from(&state);
            let _ = self.0.events.send(state);
        }
    }

    /// Everything that is kept, and all that follows.
    fn events(&self, stopped: Stopped) -> Response<Body> {
        let (kept, state, receiver) = {
            let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let receiver = self.0.events.subscribe();
            (kept.iter().cloned().collect::<String>(), state.clone(), receiver)
        };
        self.0.changed.notify_one();
        let first = format!("retry: 500\n\n{state}{kept}");
        let stream =
            unfold((Some(first), receiver, stopped), |(first, mut receiver, mut stopped)| async {
                let text = match first {
                    Some(first) => first,
                    // A page that falls behind reads everything again.
                    None => tokio::select! {
                        event = receiver.recv() => event.ok()?,
                        () = stopped.wait() => return None,
                    },
                };
                let frame = Frame::data(Bytes::from(text));
                Some((Ok::<_, Infallible>(frame), (None, receiver, stopped)))
            });
        let mut response = Response::new(StreamBody::new(stream).boxed());
        secure(response.headers_mut(), "text/event-stream");
        response
    }

    /// The answer, where the request is for the console. Pages of other sites get none.
    pub(super) fn answer(
        &self,
        request: &request::Parts,
        stopped: &Stopped,
    ) -> Option<Response<Body>> {
        if request.method != Method::GET {
            return None;
        }
        let path = request.uri.path();
        if path == "/console/events" {
            return is_from_here(&request.headers).then(|| self.events(stopped.clone()));
        }
        let (content_type, text) = files::find(path)?;
        let mut response = Response::new(Full::from(text).boxed());
        secure(response.headers_mut(), content_type);
        Some(response)
    }
}

/// True for a request that names this machine as its host, and that no page of another
/// site made.
pub(super) fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    let (name, _) = host.rsplit_once(':').unwrap_or((host, ""));
    let is_own = text(header::ORIGIN).is_none_or(|origin| origin == format!("http://{host}"));
    matches!(name, "127.0.0.1" | "localhost") && is_own
}

/// Nothing but the files of this server is loaded, and nothing is kept.
fn secure(headers: &mut HeaderMap, content_type: &'static str) {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; \
                          frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// One server-sent event. JSON has no line break of its own.
fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// The body of a burst: a request that is to be made many times at once.
#[derive(serde::Deserialize)]
pub(super) struct Burst {
    pub(super) path: String,
    pub(super) body: String,
    pub(super) authorization: Option<String>,
    pub(super) count: usize,
}

impl Burst {
    const COUNT_MAX: usize = 100;

    pub(super) fn read(body: &[u8]) -> Result<Self, BoxError> {
        let burst: Self = serde_json::from_slice(body)?;
        match burst.count {
            1..=Self::COUNT_MAX => Ok(burst),
            _ => Err("the count of a burst is from 1 to 100".into()),
        }
    }
}
