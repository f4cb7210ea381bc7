//! Ids that are derived from texts, so that a repeated request or write gets the same id.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The id of a list of texts: a UUIDv8. No text contains a line break, so that different
/// lists have different ids.
pub(crate) fn id_of(parts: &[&str]) -> Uuid {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
        digest.update("\n");
    }
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
    Uuid::new_v8(bytes)
}
