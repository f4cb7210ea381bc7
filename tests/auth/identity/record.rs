//! What must never be printed, and what is: where [`KEEP`] names a directory, each
//! secret of a suite and all that its processes print are kept there, so that one
//! can be searched for the other.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use uuid::Uuid;

/// The variable that names the directory.
pub const KEEP: &str = "KEEP_TEST_OUTPUT_IN";

/// The file of the secrets in it, one per line.
pub const SECRETS: &str = "secrets";

/// A secret that there is only once.
pub fn secret(name: &str) -> String {
    remember(&format!("{name}-{}", Uuid::new_v4()))
}

/// Keeps what must not be printed. What is short is found anywhere.
pub fn remember(secret: &str) -> String {
    assert!(secret.len() >= 8 && !secret.contains('\n'), "{secret:?} cannot be searched for");
    if let Some(directory) = directory() {
        let path = directory.join(SECRETS);
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        // In one write, which does not mix with those of other tests.
        file.write_all(format!("{secret}\n").as_bytes()).unwrap();
    }
    secret.to_owned()
}

/// Where a process may print to.
pub fn output() -> PathBuf {
    match directory() {
        Some(directory) => directory.join(format!("{}.output", Uuid::new_v4())),
        None => PathBuf::from("/dev/null"),
    }
}

#[allow(clippy::disallowed_methods, reason = "says how the suite runs")]
fn directory() -> Option<PathBuf> {
    std::env::var(KEEP).ok().map(PathBuf::from)
}
