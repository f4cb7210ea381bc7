//! Errors of other crates, and the text of an error with its causes.

use std::error::Error;

/// The cause of an error, for the log. The answer to a caller does not depend on it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The text of an error and its causes, the nearest first. `Display` of an error leaves out
/// its causes. The length is limited, because the texts come from other crates.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    const LENGTH_MAX: usize = 512;
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next.filter(|_| text.len() < LENGTH_MAX) {
        let cause_text = cause.to_string();
        // The text of some errors ends with that of their cause.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text.chars().take(LENGTH_MAX).collect()
}
