//! The facts that the Lambda runtime gives about an invocation.

use crate::payment::Timestamp;

/// The moment at which an invocation ends. `ms` comes from the runtime: Lambda gives
/// the moment itself, `cargo lambda watch` gives the time that the function may run,
/// which is never more than Lambda's 15 minutes.
pub fn end_of_invocation(ms: u64, now: Timestamp) -> Timestamp {
    const LONGEST_MS: u64 = 900_000;
    if ms <= LONGEST_MS { now.plus_ms(ms) } else { Timestamp::from_ms(ms) }
}
