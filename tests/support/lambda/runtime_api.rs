//! The Runtime API: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use crate::support::http_server::{listen, serve};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

/// The message that the function posted: a response (`Ok`) or an error report (`Err`).
pub type Posted = Result<Bytes, Bytes>;

/// An event that waits for the function.
pub struct Invocation {
    pub event: String,
    pub deadline_ms: u64,
    pub answer: oneshot::Sender<Posted>,
}

pub struct RuntimeApi {
    queue: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Posted>>>,
    /// Notified when the function requests its next event.
    pub ready: Notify,
}

impl RuntimeApi {
    /// Hands out the invocations of `queue`. Returns the address as well.
    pub async fn start(queue: mpsc::UnboundedReceiver<Invocation>) -> (Arc<Self>, String) {
        let (waiting, ready) = (Mutex::default(), Notify::new());
        let api = Arc::new(Self { queue: queue.into(), waiting, ready });
        let (listener, address) = listen().await;
        let served = Arc::clone(&api);
        serve(listener, move |request| {
            let api = Arc::clone(&served);
            async move { Ok(api.answer(request).await) }
        });
        (api, address.to_string())
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let path = path.strip_prefix("/2018-06-01/runtime/").unwrap_or_default();
        match (request.method(), path.split('/').collect::<Vec<_>>().as_slice()) {
            (&Method::GET, ["invocation", "next"]) => return self.next().await,
            (&Method::POST, ["invocation", id, kind @ ("response" | "error")]) => {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let posted = if *kind == "response" { Ok(body) } else { Err(body) };
                let answer = self.waiting.lock().unwrap().remove(*id).expect("answered once");
                // The receiver is gone if the test has already failed.
                let _ = answer.send(posted);
            }
            (&Method::POST, ["init", "error"]) => {}
            _ => return status(StatusCode::NOT_FOUND),
        }
        status(StatusCode::ACCEPTED)
    }

    /// Waits for the next event, without a limit.
    async fn next(&self) -> Response<Full<Bytes>> {
        self.ready.notify_one();
        let Some(invocation) = self.queue.lock().await.recv().await else {
            return status(StatusCode::GONE);
        };
        let id = Uuid::new_v4().to_string();
        self.waiting.lock().unwrap().insert(id.clone(), invocation.answer);
        Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", id)
            .header("lambda-runtime-deadline-ms", invocation.deadline_ms)
            .header(
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:eu-central-1:123456789012:function:payment-intents",
            )
            .header("lambda-runtime-trace-id", "Root=1-6ae854d4-773b995191183c8f4b4335b1")
            .body(Full::from(invocation.event))
            .unwrap()
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("{}"));
    *response.status_mut() = status;
    response
}
