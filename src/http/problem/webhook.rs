//! Answers to a webhook that is not recorded. Most PSPs repeat it then.

use super::Problem;
use crate::ports::NotRead;
use crate::service::NotNoticed;
use http::StatusCode;

impl From<NotNoticed> for Problem {
    fn from(error: NotNoticed) -> Self {
        match error {
            NotNoticed::NotRead(NotRead::NoSuchConnector) => Self::no_such_path(),
            NotNoticed::NotRead(NotRead::NotSigned) => Self::new(
                StatusCode::UNAUTHORIZED,
                "invalid_signature",
                "The PSP's signature is missing, wrong or too old.",
            ),
            NotNoticed::NotRead(NotRead::Unreadable) => {
                Self::invalid_json("it is not an event of the PSP")
            }
            NotNoticed::NoSuchPayment => Self::new(
                StatusCode::CONFLICT,
                "ResourceNotFound",
                "No Payment of the project has this id at the PSP. Please repeat the message.",
            ),
            NotNoticed::Contended => Self::new(
                StatusCode::CONFLICT,
                "ConcurrentModification",
                "The Payment is being changed. Please repeat the message.",
            ),
            NotNoticed::Failed(cause) => Self::unavailable().because(cause),
        }
    }
}
