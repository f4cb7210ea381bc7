//! The HTTP edge: a request becomes a call to the service, its result becomes a
//! response. Every outcome is a response, a bug inside included.

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

pub use api::{Api, not_started};
#[cfg(feature = "local")]
pub use draft::registrations;
pub use message::{ACTION_BYTES_MAX, BODY_BYTES_MAX, Response, WEBHOOK_BYTES_MAX};
pub use options::{ApiOptions, RepeatDetection, ResponseForm};
