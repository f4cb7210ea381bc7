//! Repeating a write here, and not in the SDK, which does not report the number of
//! attempts.

use super::OPERATION_TIMEOUT;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use std::time::Duration;

const ATTEMPTS_MAX: u32 = 3;
/// The pause before a write is repeated; longer each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The errors by which DynamoDB refuses a write because of its load.
const THROTTLED: [&str; 3] =
    ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"];

/// Sends a write with as many attempts as the SDK would. The second result is true if an
/// attempt before the last one got no answer, so that it may still be written later. The
/// client of `update` must not repeat it.
pub(super) async fn send_counted(
    update: impl Fn() -> UpdateItemFluentBuilder,
) -> (Result<UpdateItemOutput, SdkError<UpdateItemError>>, bool) {
    let started = tokio::time::Instant::now();
    let mut late_copy_possible = false;
    let mut attempt = 1;
    loop {
        let sent = update().send().await;
        let Err(error) = &sent else { return (sent, late_copy_possible) };
        // Only an answer below 500 proves that the attempt wrote nothing and never will.
        let status = error.raw_response().map(|response| response.status());
        let is_answered = status.is_some_and(|status| !status.is_server_error());
        let is_transient =
            !is_answered || error.code().is_some_and(|code| THROTTLED.contains(&code));
        let pause = FIRST_PAUSE.saturating_mul(attempt);
        let is_late = started.elapsed().saturating_add(pause) > OPERATION_TIMEOUT;
        if !is_transient || attempt >= ATTEMPTS_MAX || is_late {
            return (sent, late_copy_possible);
        }
        late_copy_possible |= !is_answered;
        attempt = attempt.saturating_add(1);
        tokio::time::sleep(pause).await;
    }
}
