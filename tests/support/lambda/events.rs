//! Events of API Gateway: the documents in events/, and changes to them.

use serde_json::{Value, json};
use std::path::Path;

/// The document of that name in events/.
pub fn event(name: &str) -> Value {
    serde_json::from_str(&read(&format!("events/{name}.json"))).unwrap()
}

/// The event with another value where the JSON pointer points.
pub fn with(mut event: Value, pointer: &str, value: impl Into<Value>) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    parent.insert(name.to_owned(), value.into());
    event
}

/// An event with this action on this Payment.
pub fn act(payment: &str, action: Value) -> Value {
    let event = with(event("capture"), "/rawPath", format!("/demo/payment-intents/{payment}"));
    with(event, "/body", json!({"actions": [action]}).to_string())
}

pub fn header(event: Value, name: &str, value: impl Into<Value>) -> Value {
    with(event, &format!("/headers/{name}"), value)
}

pub fn authorized_as(event: Value, authorizer: Value) -> Value {
    with(event, "/requestContext/authorizer", authorizer)
}

/// A file of this repository.
pub fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}
