//! The text of an update expression and its condition.

use super::Item;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;

/// The builder of an update expression and its condition.
#[derive(Debug)]
pub(super) struct Expression {
    conditions: String,
    sets: String,
    removes: String,
    names: HashMap<String, String>,
    values: Item,
}

impl Expression {
    /// An empty expression, with capacity for the writes of an action.
    pub(super) fn new() -> Self {
        Self {
            conditions: String::with_capacity(256),
            sets: String::with_capacity(256),
            removes: String::new(),
            names: HashMap::with_capacity(2),
            values: Item::with_capacity(14),
        }
    }

    pub(super) fn condition(&mut self, condition: impl AsRef<str>) {
        append(&mut self.conditions, " AND ", &[condition.as_ref()]);
    }

    pub(super) fn set(&mut self, path: &str, value: &str) {
        append(&mut self.sets, ", ", &[path, " = ", value]);
    }

    pub(super) fn remove(&mut self, path: impl AsRef<str>) {
        append(&mut self.removes, ", ", &[path.as_ref()]);
    }

    /// Sets the value of a placeholder (`:…`).
    pub(super) fn value(&mut self, placeholder: impl Into<String>, value: AttributeValue) {
        self.values.insert(placeholder.into(), value);
    }

    /// Sets the attribute name of a placeholder (`#…`).
    pub(super) fn name(&mut self, placeholder: impl Into<String>, attribute: &str) {
        self.names.insert(placeholder.into(), attribute.to_owned());
    }

    pub(super) fn apply(self, update: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let mut expression = format!("SET {}", self.sets);
        if !self.removes.is_empty() {
            append(&mut expression, " REMOVE ", &[&self.removes]);
        }
        update
            .update_expression(expression)
            .condition_expression(self.conditions)
            .set_expression_attribute_names((!self.names.is_empty()).then_some(self.names))
            .set_expression_attribute_values(Some(self.values))
    }
}

/// Adds an entry to a list, after a separator if it is not the first.
fn append(list: &mut String, separator: &str, entry: &[&str]) {
    if !list.is_empty() {
        list.push_str(separator);
    }
    list.extend(entry.iter().copied());
}
