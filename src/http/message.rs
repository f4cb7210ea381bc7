//! The limits of requests, and the form of responses.

/// The longest body of an action that is read.
pub const ACTION_BYTES_MAX: usize = 16 * 1024;

/// The longest body that is read at all: connectors note down whole messages of
/// their PSP.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The longest body of a webhook that is read.
pub const WEBHOOK_BYTES_MAX: usize = 256 * 1024;

/// A response: always a JSON body.
pub type Response = http::Response<String>;
