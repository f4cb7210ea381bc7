//! SQS as the function uses it: a dead-letter queue that can fail.

use crate::support::http_server::{listen, serve};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Clone)]
pub struct Queue {
    /// The address of SQS.
    pub endpoint: String,
    messages: Arc<Mutex<Vec<Value>>>,
    is_down: Arc<AtomicBool>,
}

impl Queue {
    pub async fn start() -> Self {
        let (listener, address) = listen().await;
        let endpoint = format!("http://{address}");
        let queue = Self { endpoint, messages: Arc::default(), is_down: Arc::default() };
        let served = queue.clone();
        serve(listener, move |request| {
            let queue = served.clone();
            async move {
                assert_eq!(request.headers()["x-amz-target"], "AmazonSQS.SendMessage");
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let body: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(body["QueueUrl"], queue.url());
                let (status, answer) = if queue.is_down.load(Ordering::SeqCst) {
                    let error = json!({"__type": "com.amazonaws.sqs#AccessDenied"});
                    (StatusCode::BAD_REQUEST, error)
                } else {
                    let message = serde_json::from_str(body["MessageBody"].as_str().unwrap());
                    queue.messages.lock().unwrap().push(message.unwrap());
                    (StatusCode::OK, json!({"MessageId": "1", "MD5OfMessageBody": ""}))
                };
                let answer = Response::builder()
                    .status(status)
                    .header("content-type", "application/x-amz-json-1.0")
                    .body(Full::from(answer.to_string()));
                Ok(answer.unwrap())
            }
        });
        queue
    }

    /// The URL of the queue.
    pub fn url(&self) -> String {
        format!("{}/000000000000/dead-letters", self.endpoint)
    }

    /// Makes each call fail, or work again.
    pub fn fails(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// The messages since the last time.
    pub fn messages(&self) -> Vec<Value> {
        std::mem::take(&mut self.messages.lock().unwrap())
    }
}
