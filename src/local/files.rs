//! Files that options name, and sentences about what is wrong with them.

use crate::error::BoxError;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The first bytes of every file of the emulator.
const DATABASE: &[u8] = b"SQLite format 3\0";

/// Reads a text file that `option` names.
pub fn read(option: &str, path: &Path) -> Result<String, BoxError> {
    std::fs::read_to_string(path).map_err(|error| about(option, path, &reason(&error)))
}

/// An error about a file that `option` names.
pub fn about(option: &str, path: &Path, what: &str) -> BoxError {
    format!("{option} {}: {what}", path.display()).into()
}

/// Refuses a file in which no Payments can be kept.
pub(super) fn check_data(path: &Path) -> Result<(), String> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(|error| reason(&error))?;
    match is_database(&mut file).map_err(|error| reason(&error))? {
        true => Ok(()),
        false => Err("it is not a file of `cargo local`".to_owned()),
    }
}

/// An empty file becomes one.
fn is_database(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::new();
    file.take(16).read_to_end(&mut start)?;
    Ok(start.is_empty() || start == DATABASE)
}

/// The reason in words, without the number of the operating system.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file or directory".to_owned(),
        ErrorKind::PermissionDenied => "this user may not use it".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        ErrorKind::InvalidData => "it is not text in UTF-8".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}
