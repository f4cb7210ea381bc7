//! The limits of request bodies, and the type of responses.

/// The highest number of bytes in the body of an action.
pub const ACTION_BYTES_MAX: usize = 16 * 1024;

/// The highest number of bytes in any other body. Connectors add whole messages of their
/// PSP.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The highest number of bytes in the body of a webhook.
pub const WEBHOOK_BYTES_MAX: usize = 256 * 1024;

/// A response with a JSON body.
pub type Response = http::Response<String>;
