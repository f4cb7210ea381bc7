//! The entries of `errors` in the body of an error.

use super::invalid::Invalid;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;
use serde_json::value::RawValue;

/// One entry of `errors`.
#[derive(Debug)]
pub(super) struct ErrorBody {
    pub(super) code: &'static str,
    pub(super) message: String,
    fields: Vec<(&'static str, Box<RawValue>)>,
}

impl ErrorBody {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fields: Vec::new() }
    }

    /// The entry for a field that is missing or has a wrong value.
    pub(super) fn of_field(invalid: &Invalid) -> Self {
        match invalid {
            Invalid::Missing { field } => {
                let message = format!("A value is required for field {field}.");
                let mut error = Self::new("RequiredField", message);
                error.field("field", field);
                error
            }
            Invalid::Value { field, value, allowed } => {
                let message = format!("The value {value} is not valid for field {field}.");
                let mut error = Self::new("InvalidField", message);
                error.field("field", field);
                error.field("invalidValue", value);
                if !allowed.is_empty() {
                    error.field("allowedValues", json!(allowed));
                }
                error
            }
        }
    }

    /// Adds a field that only some errors have.
    pub(super) fn field(&mut self, name: &'static str, value: impl serde::Serialize) {
        if let Ok(value) = serde_json::value::to_raw_value(&value) {
            self.fields.push((name, value));
        }
    }
}

impl Serialize for ErrorBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entry = serializer.serialize_map(None)?;
        entry.serialize_entry("code", self.code)?;
        entry.serialize_entry("message", &self.message)?;
        for (name, value) in &self.fields {
            entry.serialize_entry(name, value)?;
        }
        entry.end()
    }
}
