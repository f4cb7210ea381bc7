//! The HTTP API: maps a request to a call of the service, and the result to a response.
//! Every request gets a response, also after a panic.

mod action;
mod answer;
mod api;
mod context;
mod draft;
mod error_body;
mod fields;
mod headers;
mod invalid;
pub mod lambda;
mod message;
mod options;
mod problem;
mod query;
mod representation;
mod route;
mod unambiguous;
mod update;
mod webhook;

#[cfg(feature = "local")]
pub(crate) use answer::{CALLER_REFUSED, REQUEST_FAILED};
pub use api::{Api, not_started};
#[cfg(feature = "local")]
pub use draft::{FileDraft, file_drafts};
pub use message::{ACTION_BYTES_MAX, BODY_BYTES_MAX, Response, WEBHOOK_BYTES_MAX};
pub use options::{ApiOptions, RepeatDetection, ResponseForm};
