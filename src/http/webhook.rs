//! Webhooks: signed messages that a PSP sends on its own initiative.

use super::answer::Answer;
use super::message::WEBHOOK_BYTES_MAX;
use super::problem::Problem;
use crate::payment::{ProjectKey, Timestamp};
use crate::ports::{Acknowledgement, Clock, Connector, Store, Webhook, Webhooks};
use crate::service::Service;
use http::{HeaderMap, header};
use lambda_http::Request;

/// Records a webhook. The answer makes the PSP repeat one that could not be recorded.
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
    match service.handle_webhook(&webhook, deadline).await {
        Ok(_) => Ok(match service.acknowledgement(connector) {
            Acknowledgement::EmptyObject => Answer::ok("{}"),
            Acknowledgement::Text(text) => {
                Answer::ok(text).with(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            }
        }),
        Err(error) => Err(error.into()),
    }
}

/// The value of a header that occurs once. Several values are ambiguous.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()
}
