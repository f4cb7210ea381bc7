//! EventBridge, as far as the function sees it: it takes `PutEvents`, refuses what
//! the real one refuses, and otherwise does as it is told.

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

/// What becomes of one call.
#[derive(Clone, Debug)]
pub enum Answer {
    /// All of it is taken.
    Takes,
    /// All of it is taken, after so many milliseconds.
    TakesLate(u64),
    /// All but the entries at these places.
    Refuses(Vec<usize>),
    /// All of it is taken, and the answer is lost.
    IsLost,
    /// None of it: this status, with this error.
    Fails(u16, &'static str),
    /// None of it, and nothing is said.
    Hangs,
}

/// An event that was taken.
#[derive(Clone, Debug)]
pub struct Told {
    pub bus: String,
    pub source: String,
    pub detail_type: String,
    /// The document as it came.
    pub text: String,
    pub detail: Value,
}

impl Told {
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

/// One call: what was in it, and which of that was taken.
#[derive(Clone, Debug)]
pub struct Call {
    pub events: Vec<Told>,
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

    /// What becomes of the next calls, in order; later ones go as usual.
    pub fn next(&self, answers: &[Answer]) {
        self.script().next = answers.iter().cloned().collect();
    }

    /// What becomes of calls of which nothing else was said.
    pub fn usually(&self, answer: Answer) {
        self.script().usual = Some(answer);
    }

    /// The calls since this was last asked.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.script().calls)
    }

    /// What was taken since this or the calls were last asked for.
    pub fn told(&self) -> Vec<Told> {
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
        let events: Vec<_> = body["Entries"].as_array().unwrap().iter().map(Told::read).collect();
        // More is a ValidationException of all of it.
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
                json!({"__type": error, "message": "told to fail"}),
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
        false => json!({"ErrorCode": "InternalFailure", "ErrorMessage": "told to refuse"}),
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
