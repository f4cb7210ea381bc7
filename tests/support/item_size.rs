//! The size of an item as DynamoDB counts it: names and values of its attributes, by the
//! rules of its developer guide ("DynamoDB item sizes and formats").

#![allow(dead_code, unreachable_pub, reason = "each suite uses its part of this")]
#![allow(clippy::panic, clippy::arithmetic_side_effects, reason = "a panic fails the test")]

use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;

/// The bytes of a whole item.
pub fn of(item: &HashMap<String, AttributeValue>) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

/// A collection takes three bytes, one more for each entry, and the size of its entries.
fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number_size(number),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
        AttributeValue::M(map) => 3 + map.len() + of(map),
        AttributeValue::L(list) => 3 + list.len() + list.iter().map(value_size).sum::<usize>(),
        other => panic!("no Payment holds {other:?}"),
    }
}

/// One byte for two digits, without leading and trailing zeros, and one byte more.
fn number_size(number: &str) -> usize {
    let digits = number.trim_start_matches('0').trim_end_matches('0');
    digits.len().div_ceil(2) + 1
}
