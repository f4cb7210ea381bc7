//! Reading a JSON body field by field. All invalid fields are collected, so that one
//! answer names them all. Numbers are read as integers only.

use super::invalid::Invalid;
use super::problem::Problem;
use super::unambiguous;
use crate::money::{Currency, Money};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The fields of a JSON object, as raw JSON.
pub(super) type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// A JSON object whose fields are being read.
pub(super) struct Form<'a, 'e> {
    prefix: String,
    fields: Fields<'a>,
    errors: &'e mut Vec<Invalid>,
}

/// The body as an object. JSON with duplicate keys or too much nesting is refused,
/// because parsers differ in how they read it.
pub(super) fn form<'a, 'e>(
    body: &'a str,
    errors: &'e mut Vec<Invalid>,
) -> Result<Form<'a, 'e>, Problem> {
    let invalid = |error: serde_json::Error| Problem::invalid_json(&error.to_string());
    unambiguous::check(body).map_err(invalid)?;
    let fields = serde_json::from_str(body).map_err(invalid)?;
    Ok(Form { prefix: String::new(), fields, errors })
}

impl<'a> Form<'a, '_> {
    /// The field as raw JSON; `null` counts as missing.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.get(name).copied().filter(|value| value.get() != "null")
    }

    /// The field. Notes an error if it is missing.
    pub(super) fn required(&mut self, name: &str) -> Option<&'a RawValue> {
        let value = self.raw(name);
        if value.is_none() {
            self.missing(name);
        }
        value
    }

    /// Notes that a field is missing.
    pub(super) fn missing(&mut self, name: &str) {
        let field = self.field(name);
        self.errors.push(Invalid::Missing { field });
    }

    /// The elements of `actions`. Notes an error if it is missing.
    pub(super) fn actions(&mut self) -> Result<Option<Vec<Fields<'a>>>, Problem> {
        let Some(actions) = self.required("actions") else { return Ok(None) };
        serde_json::from_str(actions.get())
            .map(Some)
            .map_err(|_| Problem::invalid_json("actions is not an array of objects"))
    }

    /// A form for another object whose fields are named like those of this one.
    pub(super) fn element<'s>(&'s mut self, fields: Fields<'a>) -> Form<'a, 's> {
        Form { prefix: self.prefix.clone(), fields, errors: self.errors }
    }

    /// A form for the object that is the field `name`.
    pub(super) fn nested<'s>(&'s mut self, name: &str, fields: Fields<'a>) -> Form<'a, 's> {
        Form { prefix: format!("{}.", self.field(name)), fields, errors: self.errors }
    }

    /// A field with an integer that is not negative.
    pub(super) fn integer(&mut self, name: &str) -> Option<u64> {
        let value = self.raw(name)?;
        let integer = value.get().parse().ok();
        if integer.is_none() {
            self.invalid(name, value, Vec::new());
        }
        integer
    }

    /// A field with a caller's key of a Payment, in the platform's format.
    pub(super) fn payment_key(&mut self, name: &str) -> Option<String> {
        self.text_that(name, is_payment_key)
    }

    /// Notes that a field has an invalid value.
    pub(super) fn invalid(&mut self, name: &str, value: &RawValue, allowed: Vec<&'static str>) {
        self.errors.push(Invalid::value(self.field(name), value, allowed));
    }

    /// A field with a text of 1 to 256 characters without control characters.
    pub(super) fn short_text(&mut self, name: &str) -> Option<String> {
        self.text_that(name, |text| {
            (1..=256).contains(&text.chars().count()) && !text.contains(char::is_control)
        })
    }

    /// A field with any text.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.text_that(name, |_| true)
    }

    /// A field with a text for which `is_valid` holds.
    pub(super) fn text_that(
        &mut self,
        name: &str,
        is_valid: impl Fn(&str) -> bool,
    ) -> Option<String> {
        self.read(name, |text| Some(text.to_owned()).filter(|text| is_valid(text)))
    }

    /// A field with a text, converted by `read`.
    pub(super) fn read<T>(&mut self, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.raw(name)?;
        let text = serde_json::from_str::<String>(value.get()).ok();
        let read = text.and_then(|text| read(&text));
        if read.is_none() {
            self.invalid(name, value, Vec::new());
        }
        read
    }

    /// A field with one of the names of `choices`.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        name: &str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let value = self.raw(name)?;
        let text = serde_json::from_str::<String>(value.get()).unwrap_or_default();
        let choice = choices.iter().find(|(choice, _)| *choice == text);
        if choice.is_none() {
            self.invalid(name, value, choices.iter().map(|(choice, _)| *choice).collect());
        }
        choice.map(|(_, choice)| *choice)
    }

    /// A form for a field with an object.
    pub(super) fn object(&mut self, name: &str) -> Option<Form<'a, '_>> {
        let value = self.raw(name)?;
        let Ok(fields) = serde_json::from_str(value.get()) else {
            self.invalid(name, value, Vec::new());
            return None;
        };
        Some(Form { prefix: format!("{}.", self.field(name)), fields, errors: self.errors })
    }

    /// A field with an array of objects, each converted by `read`.
    pub(super) fn objects<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(Form<'a, '_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.raw(name) else { return Vec::new() };
        let Ok(elements) = serde_json::from_str::<Vec<Fields<'a>>>(value.get()) else {
            self.invalid(name, value, Vec::new());
            return Vec::new();
        };
        let field = self.field(name);
        let forms = elements.into_iter().enumerate();
        forms
            .filter_map(|(index, fields)| {
                let prefix = format!("{field}[{index}].");
                read(Form { prefix, fields, errors: self.errors })
            })
            .collect()
    }

    /// A field with a JSON object, as text.
    pub(super) fn document(&mut self, name: &str) -> Option<String> {
        let value = self.raw(name)?;
        if !is_object(value) {
            self.invalid(name, value, Vec::new());
            return None;
        }
        Some(value.get().to_owned())
    }

    /// A field with an array of JSON objects, as texts.
    pub(super) fn documents(&mut self, name: &str) -> Vec<String> {
        let Some(value) = self.raw(name) else { return Vec::new() };
        let elements = serde_json::from_str::<Vec<&RawValue>>(value.get()).ok();
        match elements.filter(|elements| elements.iter().all(|element| is_object(element))) {
            Some(elements) => elements.iter().map(|element| element.get().to_owned()).collect(),
            None => {
                self.invalid(name, value, Vec::new());
                Vec::new()
            }
        }
    }

    /// A required field with an amount of at least `minimum` minor units.
    pub(super) fn amount(&mut self, name: &str, minimum: u64) -> Option<Money> {
        self.required(name)?;
        let mut amount = self.object(name)?;
        let value = amount.required("centAmount");
        let minor_units = value.and_then(|value| {
            let minor_units = value.get().parse::<u64>().ok();
            let minor_units =
                minor_units.filter(|n| (minimum..=Money::MINOR_UNITS_MAX).contains(n));
            if minor_units.is_none() {
                amount.invalid("centAmount", value, Vec::new());
            }
            minor_units
        });
        amount.required("currencyCode");
        let currency = amount.read("currencyCode", Currency::parse);
        Money::new(minor_units?, currency?).ok()
    }

    fn field(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// True for a key of a Payment in the platform's format: 2 to 256 of `A-Z a-z 0-9 _ -`.
pub(super) fn is_payment_key(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (2..=256).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}
