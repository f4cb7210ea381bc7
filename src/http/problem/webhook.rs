//! Answers to a webhook that is not recorded. Most PSPs repeat it then.

use super::Problem;
use crate::ports::WebhookRefusal;
use crate::service::WebhookError;
use http::StatusCode;

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::WebhookRefusal(WebhookRefusal::NoSuchConnector) => Self::no_such_path(),
            WebhookError::WebhookRefusal(WebhookRefusal::NotSigned) => Self::new(
                StatusCode::UNAUTHORIZED,
                "invalid_signature",
                "The PSP's signature is missing, wrong or too old.",
            ),
            WebhookError::WebhookRefusal(WebhookRefusal::Unreadable) => {
                Self::invalid_json("it is not an event of the PSP")
            }
            WebhookError::NoSuchPayment => Self::new(
                StatusCode::CONFLICT,
                "ResourceNotFound",
                "No Payment of the project has this id at the PSP. Please repeat the message.",
            ),
            WebhookError::Contended => Self::new(
                StatusCode::CONFLICT,
                "ConcurrentModification",
                "The Payment is being changed. Please repeat the message.",
            ),
            WebhookError::Failed(cause) => Self::unavailable().because(cause),
        }
    }
}
