//! Fields that are missing or have a wrong value.

use serde_json::value::RawValue;

/// A field that is missing or has a wrong value.
#[derive(Debug)]
pub(super) enum Invalid {
    /// It is missing, or `null`.
    Missing {
        /// The path of the field.
        field: String,
    },
    /// It has an invalid value.
    Value {
        /// The path of the field.
        field: String,
        /// The value as raw JSON, cut to a limited length.
        value: Box<RawValue>,
        /// The allowed values, if they can be listed.
        allowed: Vec<&'static str>,
    },
}

impl Invalid {
    /// A field with an invalid value.
    pub(super) fn value(field: String, value: &RawValue, allowed: Vec<&'static str>) -> Self {
        Self::Value { field, value: short(value), allowed }
    }

    /// A field with an invalid text.
    pub(super) fn text(field: &str, text: &str) -> Self {
        let value = serde_json::value::to_raw_value(text).unwrap_or_else(|_| null());
        Self::Value { field: field.to_owned(), value, allowed: Vec::new() }
    }
}

/// The invalid value, cut so that the answer does not repeat a whole document.
fn short(value: &RawValue) -> Box<RawValue> {
    const LENGTH_MAX: usize = 256;
    if value.get().len() <= LENGTH_MAX {
        return value.to_owned();
    }
    let start: String = value.get().chars().take(LENGTH_MAX).chain(['…']).collect();
    serde_json::value::to_raw_value(&start).unwrap_or_else(|_| null())
}

fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}
