//! The parameters of a request, with the checks that Stripe makes before it carries it out.

use super::account::Refused;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// The parameters of a request, by their names.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub(super) struct Form(BTreeMap<String, String>);

/// The limits of <https://docs.stripe.com/api/metadata>, in characters.
const METADATA_KEY_MAX: usize = 40;
const METADATA_VALUE_MAX: usize = 500;

impl Form {
    /// Reads `name=value&…`. Refuses a parameter that is not `known` or occurs twice.
    pub(super) fn read(text: &str, known: &[&str]) -> Result<Self, Refused> {
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8().map(|text| text.into_owned()).ok()
        };
        let mut fields = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let read = decoded(name).zip(decoded(value));
            let Some((name, value)) = read else { return Err(invalid("parameter_unknown", name)) };
            let key = name.strip_prefix("metadata[").and_then(|key| key.strip_suffix(']'));
            let is_known = known.contains(&name.as_str())
                || key.is_some_and(|key| known.contains(&"metadata") && is_metadata(key, &value));
            if !is_known {
                return Err(invalid("parameter_unknown", &name));
            }
            if value.is_empty() {
                return Err(invalid("parameter_invalid_empty", &name));
            }
            if fields.insert(name.clone(), value).is_some() {
                return Err(invalid("parameter_unknown", &name));
            }
        }
        Ok(Self(fields))
    }

    /// The parameters without `metadata`.
    pub(super) fn without_metadata(&self) -> Self {
        let mut fields = self.0.clone();
        fields.retain(|name, _| !name.starts_with("metadata["));
        Self(fields)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A positive amount of digits only.
    pub(super) fn amount(&self, name: &str) -> Result<Option<u64>, Refused> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let amount = text.parse().ok().filter(|amount: &u64| *amount > 0);
        let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match amount.filter(|_| is_digits) {
            Some(amount) => Ok(Some(amount)),
            None => Err(invalid("parameter_invalid_integer", name)),
        }
    }

    /// Refuses a request without one of these parameters.
    pub(super) fn require(&self, names: &[&str]) -> Result<(), Refused> {
        match names.iter().find(|name| self.text(name).is_none()) {
            Some(name) => Err(invalid("parameter_missing", name)),
            None => Ok(()),
        }
    }

    pub(super) fn metadata(&self) -> BTreeMap<String, String> {
        let entries = self.0.iter().filter_map(|(name, value)| {
            let key = name.strip_prefix("metadata[")?.strip_suffix(']')?;
            Some((key.to_owned(), value.clone()))
        });
        entries.collect()
    }
}

fn is_metadata(key: &str, value: &str) -> bool {
    let key_length = key.chars().count();
    (1..=METADATA_KEY_MAX).contains(&key_length)
        && !key.contains(['[', ']'])
        && value.chars().count() <= METADATA_VALUE_MAX
}

fn invalid(code: &str, name: &str) -> Refused {
    Refused::new(400, "invalid_request_error", Some(code), &format!("Parameter {name}: {code}."))
}
