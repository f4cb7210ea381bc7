//! Effects of the sandbox PSP in a file, one JSON object a line.

use super::sandbox::Effect;
use crate::error::BoxError;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

/// The file to which effects are added.
#[derive(Debug)]
pub(super) struct Kept(File);

impl Kept {
    /// Opens the file, or makes it. Returns the effects that it holds. A last line that
    /// was not written to its end is dropped: its effect was never answered.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Effect>), BoxError> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
        let effect = |(index, line): (usize, &str)| {
            let number = index.saturating_add(1);
            serde_json::from_str(line)
                .map_err(|error| format!("line {number} is no effect of the sandbox: {error}"))
        };
        let effects = whole.lines().enumerate().map(effect).collect::<Result<_, _>>()?;
        let length = if whole.is_empty() { 0 } else { whole.len().saturating_add(1) };
        file.set_len(u64::try_from(length)?)?;
        Ok((Self(file), effects))
    }

    /// Adds an effect.
    pub(super) fn add(&mut self, effect: &Effect) -> Result<(), BoxError> {
        let mut line = serde_json::to_string(effect)?;
        line.push('\n');
        Ok(self.0.write_all(line.as_bytes())?)
    }
}
