//! The operator's options of the API.

/// The form of the answer to an action if the caller states no preference (`RESPONSE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseForm {
    /// `{}`, and a rejection is an error.
    Empty,
    /// `{"outcome": …}`, a rejection included.
    Outcome,
}

/// The means by which a repeated request without an `Idempotency-Key` is recognised
/// (`REPEAT_DETECTION`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatDetection {
    /// None: each is a separate request.
    Key,
    /// Its `X-Correlation-ID`, its Payment and its content. Client libraries keep all three
    /// when they repeat a request.
    CorrelationId,
}

/// The operator's options.
#[derive(Clone, Copy, Debug)]
pub struct ApiOptions {
    /// The form of answers.
    pub response: ResponseForm,
    /// The recognition of repeated requests.
    pub repeat_detection: RepeatDetection,
}
