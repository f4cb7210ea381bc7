//! EventBridge as the function uses it: it accepts `PutEvents`, refuses requests that the
//! real service refuses, and fails as scripted.

use crate::support::http_server::{self, listen, serve};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::sleep;
use uuid::Uuid;

/// The scripted result of one call.
#[derive(Clone, Debug)]
pub enum Answer {
    /// All entries are accepted.
    Takes,
    /// All entries are accepted, after this many milliseconds.
    TakesLate(u64),
    /// All entries are accepted, except those at these places.
    Refuses(Vec<usize>),
    /// All entries are accepted, and the answer is lost.
    IsLost,
    /// No entry is accepted: this status, with this error.
    Fails(u16, &'static str),
    /// No entry is accepted, and no answer is sent.
    Hangs,
}

/// An accepted event.
#[derive(Clone, Debug)]
pub struct PublishedEvent {
    pub bus: String,
    pub source: String,
    pub detail_type: String,
    /// The event as JSON.
    pub text: String,
    pub detail: Value,
}

impl PublishedEvent {
    pub fn id(&self) -> &str {
        self.detail["id"].as_str().unwrap()
    }

    pub fn payment(&self) -> &str {
        self.detail["data"]["payment"]["id"].as_str().unwrap()
    }

    pub fn transaction(&self) -> &str {
        self.detail["data"]["transactionId"].as_str().unwrap()
    }

    fn read(entry: &Value) -> Self {
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        let fields: Vec<_> = entry.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["Detail", "DetailType", "EventBusName", "Source"]);
        Self {
            bus: text("EventBusName"),
            source: text("Source"),
            detail_type: text("DetailType"),
            detail: serde_json::from_str(&text("Detail")).unwrap(),
            text: text("Detail"),
        }
    }
}

/// One call: its entries, and the accepted ones.
#[derive(Clone, Debug)]
pub struct Call {
    pub events: Vec<PublishedEvent>,
    pub taken: Vec<bool>,
}

#[derive(Default)]
struct Script {
    next: VecDeque<Answer>,
    usual: Option<Answer>,
    calls: Vec<Call>,
}

#[derive(Clone)]
pub struct Bus {
    pub url: String,
    script: Arc<Mutex<Script>>,
}

impl Bus {
    pub async fn start() -> Self {
        let (listener, address) = listen().await;
        let url = format!("http://{address}");
        let bus = Self { url, script: Arc::default() };
        let served = bus.clone();
        serve(listener, move |request| served.clone().answer(request));
        bus
    }

    /// Scripts the results of the next calls, in order.
    pub fn next(&self, answers: &[Answer]) {
        self.script().next = answers.iter().cloned().collect();
    }

    /// Sets the result of calls without a scripted one.
    pub fn usually(&self, answer: Answer) {
        self.script().usual = Some(answer);
    }

    /// The calls since the last time.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.script().calls)
    }

    /// The accepted events since the last time, here or in `calls`.
    pub fn published(&self) -> Vec<PublishedEvent> {
        let calls = self.calls().into_iter();
        let events = calls.flat_map(|call| call.events.into_iter().zip(call.taken));
        events.filter(|(_, taken)| *taken).map(|(event, _)| event).collect()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    async fn answer(self, request: Request<Incoming>) -> http_server::Answer {
        assert_eq!(request.headers()["x-amz-target"], "AWSEvents.PutEvents");
        let body = request.into_body().collect().await.map_err(|error| error.to_string())?;
        let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        let events: Vec<_> =
            body["Entries"].as_array().unwrap().iter().map(PublishedEvent::read).collect();
        // More entries are a ValidationException for the whole call.
        assert!((1..=10).contains(&events.len()), "{} entries", events.len());
        assert!(body.to_string().len() <= 256 * 1_024, "a call is too large");
        let answer = {
            let mut script = self.script();
            let next = script.next.pop_front().or_else(|| script.usual.clone());
            let answer = next.unwrap_or(Answer::Takes);
            let taken = (0..events.len()).map(|index| answer.takes(index)).collect();
            script.calls.push(Call { events, taken });
            answer
        };
        let taken = self.script().calls.last().unwrap().taken.clone();
        match answer {
            Answer::Takes | Answer::Refuses(_) => Ok(results(&taken)),
            Answer::TakesLate(ms) => {
                sleep(Duration::from_millis(ms)).await;
                Ok(results(&taken))
            }
            Answer::IsLost => Err("the answer is lost".to_owned()),
            Answer::Fails(status, error) => Ok(respond(
                StatusCode::from_u16(status).unwrap(),
                json!({"__type": error, "message": "scripted to fail"}),
            )),
            Answer::Hangs => std::future::pending().await,
        }
    }
}

impl Answer {
    fn takes(&self, index: usize) -> bool {
        match self {
            Self::Takes | Self::TakesLate(_) | Self::IsLost => true,
            Self::Refuses(places) => !places.contains(&index),
            Self::Fails(..) | Self::Hangs => false,
        }
    }
}

fn results(taken: &[bool]) -> Response<Full<Bytes>> {
    let entry = |taken: &bool| match taken {
        true => json!({"EventId": Uuid::new_v4().to_string()}),
        false => json!({"ErrorCode": "InternalFailure", "ErrorMessage": "scripted to refuse"}),
    };
    let entries: Vec<_> = taken.iter().map(entry).collect();
    let failed = taken.iter().filter(|taken| !**taken).count();
    respond(StatusCode::OK, json!({"FailedEntryCount": failed, "Entries": entries}))
}

fn respond(status: StatusCode, body: Value) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.1")
        .body(Full::from(body.to_string()))
        .unwrap()
}
