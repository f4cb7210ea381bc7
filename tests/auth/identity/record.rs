//! A record of secrets and of output: where [`KEEP`] names a directory, each secret of a
//! suite and the output of its processes are kept there, and one is searched for the other.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use uuid::Uuid;

/// The variable that names the directory.
pub const KEEP: &str = "KEEP_TEST_OUTPUT_IN";

/// The file of the secrets in it, one per line.
pub const SECRETS: &str = "secrets";

/// A new secret that occurs nowhere else.
pub fn secret(name: &str) -> String {
    remember(&format!("{name}-{}", Uuid::new_v4()))
}

/// Adds a secret to the record. A short one would be found by chance.
pub fn remember(secret: &str) -> String {
    assert!(secret.len() >= 8 && !secret.contains('\n'), "{secret:?} cannot be searched for");
    if let Some(directory) = directory() {
        let path = directory.join(SECRETS);
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        // One write, so that the lines of parallel tests do not mix.
        file.write_all(format!("{secret}\n").as_bytes()).unwrap();
    }
    secret.to_owned()
}

/// The file for the output of a process.
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
