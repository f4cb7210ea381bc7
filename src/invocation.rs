//! The time that Lambda gives to one invocation.

use crate::payment::Timestamp;
use lambda_runtime::Context;

/// The moment at which the invocation ends, finished or not. The runtime gives the
/// moment itself. `cargo lambda watch` gives the time that the function may run,
/// which is never more than Lambda's 15 minutes.
pub fn deadline(context: &Context, now: Timestamp) -> Timestamp {
    const LONGEST_MS: u64 = 900_000;
    let ms = context.deadline;
    if ms <= LONGEST_MS { now.plus_ms(ms) } else { Timestamp::from_ms(ms) }
}
