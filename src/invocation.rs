//! The deadline of an invocation.

use crate::payment::Timestamp;
use lambda_runtime::Context;

/// The time at which Lambda ends the invocation. The context of the real runtime has that
/// time. The context of `cargo lambda watch` has the duration of the invocation, at most
/// 15 minutes.
pub fn deadline(context: &Context, now: Timestamp) -> Timestamp {
    const LONGEST_MS: u64 = 900_000;
    let ms = context.deadline;
    if ms <= LONGEST_MS { now.plus_ms(ms) } else { Timestamp::from_ms(ms) }
}
