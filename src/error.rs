//! Errors of other crates, and the text of an error with its causes.

use std::error::Error;

/// A cause, for the log. It never decides what a caller is answered.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// An error with its causes, the nearest first: the log's own writer would leave
/// the causes out. Bounded, since their texts come from other crates.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    const LENGTH_MAX: usize = 512;
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next.filter(|_| text.len() < LENGTH_MAX) {
        let said = cause.to_string();
        // Some repeat what their cause says.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text.chars().take(LENGTH_MAX).collect()
}
