//! Requests and responses, whichever way they come in and go out.

use crate::auth::Caller;
use crate::payment::Timestamp;
use http::{HeaderMap, Method};

/// The longest body of an action that is read.
pub const ACTION_BYTES_MAX: usize = 16 * 1024;

/// The longest body that is read at all: connectors note down whole messages of
/// their PSP.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// A request. It has no `Debug`, since it carries secrets.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path as it was sent: percent-encoded, perhaps with a stage in front.
    pub path: String,
    /// The query, percent-encoded, without its `?`.
    pub query: String,
    /// The API Gateway stage; `None` where it is never part of the path.
    pub stage: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; `None` where what came in could not be decoded.
    pub body: Option<Vec<u8>>,
    /// The caller, if an authorizer in front vouches for one.
    pub caller: Option<Caller>,
    /// When this invocation ends, finished or not.
    pub deadline: Timestamp,
}

/// A response: always a JSON body.
pub type Response = http::Response<String>;
