//! Ids that follow from what they name, so that whoever makes one again makes the
//! same.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// An id that follows from these: a UUIDv8. None of them contains a line break, so
/// no two lists read alike.
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
