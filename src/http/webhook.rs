//! Webhooks: messages that a PSP sends by itself, and signs.

use super::answer::Answer;
use super::message::WEBHOOK_BYTES_MAX;
use super::problem::Problem;
use crate::payment::{ProjectKey, Timestamp};
use crate::ports::{Acknowledgement, Clock, Connector, NotRead, Store, Webhook, Webhooks};
use crate::service::{NotNoticed, Service};
use http::{HeaderMap, StatusCode, header};
use lambda_http::Request;

/// Takes a webhook, and answers so that its PSP repeats what could not be recorded.
pub(super) async fn take<S: Store, C: Connector + Webhooks, K: Clock>(
    service: &Service<S, C, K>,
    project: &ProjectKey,
    connector: &str,
    request: &Request,
    deadline: Timestamp,
) -> Result<Answer, Problem> {
    let body = request.body();
    if body.len() > WEBHOOK_BYTES_MAX {
        return Err(Problem::too_large(WEBHOOK_BYTES_MAX));
    }
    let header = |name: &str| single(request.headers(), name);
    let webhook = Webhook { project, connector, header: &header, body };
    match service.take_webhook(&webhook, deadline).await {
        Ok(_) => Ok(match service.acknowledgement(connector) {
            Acknowledgement::EmptyObject => Answer::ok("{}"),
            Acknowledgement::Text(text) => {
                Answer::ok(text).with(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            }
        }),
        Err(error) => Err(refused(error)),
    }
}

/// A header that came once. Of several values any could be meant.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()
}

fn refused(error: NotNoticed) -> Problem {
    match error {
        NotNoticed::NotRead(NotRead::NoSuchConnector) => Problem::no_such_path(),
        NotNoticed::NotRead(NotRead::NotSigned) => Problem::new(
            StatusCode::UNAUTHORIZED,
            "invalid_signature",
            "The message is not signed by the PSP, or too long ago.",
        ),
        NotNoticed::NotRead(NotRead::Unreadable) => {
            Problem::invalid_json("it is not an event of the PSP")
        }
        NotNoticed::NoSuchPayment => Problem::new(
            StatusCode::CONFLICT,
            "ResourceNotFound",
            "No Payment of the project has this id at the PSP. Please repeat the message.",
        ),
        NotNoticed::Contended => Problem::new(
            StatusCode::CONFLICT,
            "ConcurrentModification",
            "The Payment is being changed. Please repeat the message.",
        ),
        NotNoticed::Failed(cause) => Problem::unavailable().because(cause),
    }
}
