//! The update expression of a changed Payment, for an item that was read. It writes only
//! the changes.

use super::expression::Expression;
use super::item;
use crate::payment::{Payment, Transaction, TransactionKind};

/// The `UpdateItem` that changes `from` to `to`, on condition that the stored version is
/// that of `from`. Every write raises the version.
pub(super) fn expression(from: &Payment, to: &Payment) -> Expression {
    let mut expression = Expression::new();
    expression.value(":read_version", item::number(from.version));
    expression.condition("version = :read_version");
    set_value(&mut expression, "version", item::number(to.version));
    set_value(&mut expression, "modified_at", item::number(to.modified_at.ms()));
    let balances = item::balances(&from.balances).into_iter().zip(item::balances(&to.balances));
    for ((name, before), (_, after)) in balances {
        if before != after {
            set_value(&mut expression, name, item::number(after.minor_units()));
        }
    }
    set_transactions(&mut expression, from, to);
    set_value(&mut expression, "item_format", item::number(item::FORMAT));
    set_stops(&mut expression, from, to);
    set_slot(&mut expression, from, to);
    set_recovery(&mut expression, from, to);
    if from.details != to.details {
        set_value(&mut expression, "details", item::map(item::from_details(&to.details)));
    }
    expression
}

fn set_value(
    expression: &mut Expression,
    name: &str,
    value: aws_sdk_dynamodb::types::AttributeValue,
) {
    let placeholder = format!(":{name}");
    expression.set(name, &placeholder);
    expression.value(placeholder, value);
}

fn set_transactions(expression: &mut Expression, from: &Payment, to: &Payment) {
    let is_changed = |one: &&Transaction| from.transactions.get(&one.id) != Some(*one);
    let removed: Vec<_> =
        from.transactions.values().filter(|one| !to.transactions.contains_key(&one.id)).collect();
    // The amount of a cancel that was reserved without a read is stored outside of the
    // transaction. A write of one open cancel writes the amounts of all open cancels.
    let mut touched = to.transactions.values().filter(is_changed).chain(removed.iter().copied());
    let writes_cancels = touched.any(|one| is_open_cancel(from, one));
    let is_written =
        |one: &&Transaction| is_changed(one) || writes_cancels && is_open_cancel(from, one);
    for (index, transaction) in to.transactions.values().filter(is_written).enumerate() {
        let (name, value) = (format!("#changed{index}"), format!(":changed{index}"));
        expression.set(&format!("transactions.{name}"), &value);
        expression.name(name, transaction.id.as_str());
        expression.value(value, item::map(item::from_transaction(transaction)));
    }
    for (index, transaction) in removed.iter().enumerate() {
        let name = format!("#removed{index}");
        expression.remove(format!("transactions.{name}"));
        expression.name(name, transaction.id.as_str());
    }
    if writes_cancels {
        expression.remove(item::CANCELLING);
    }
}

fn is_open_cancel(from: &Payment, transaction: &Transaction) -> bool {
    let is_open = from.transactions.get(&transaction.id).is_some_and(Transaction::is_open);
    is_open && transaction.kind == TransactionKind::CancelAuthorization
}

fn set_slot(expression: &mut Expression, from: &Payment, to: &Payment) {
    if from.in_flight != to.in_flight {
        match &to.in_flight {
            Some(slot) => set_value(expression, "inflight", item::map(item::from_slot(slot))),
            None => expression.remove("inflight"),
        }
    }
    if let Some(at) = to.withdrawn_at
        && from.withdrawn_at != to.withdrawn_at
    {
        set_value(expression, "withdrawn_at", item::number(at.ms()));
    }
}

/// Writes the attributes by which the condition of a reservation knows that a discrepancy
/// stops a side. They are always written: an item of format 1 does not have them.
fn set_stops(expression: &mut Expression, from: &Payment, to: &Payment) {
    let is_stopped = |payment: &Payment, side| payment.discrepancies_of(side).next().is_some();
    for (name, side) in item::STOPS {
        if is_stopped(to, side) {
            set_value(expression, name, aws_sdk_dynamodb::types::AttributeValue::Bool(true));
        } else if is_stopped(from, side) {
            expression.remove(name);
        }
    }
}

/// Writes the keys of the recovery index, which lists a Payment only while it has an open
/// transaction. They are always written: a reservation without a read has replaced them by
/// its lease, even if another transaction is due earlier.
fn set_recovery(expression: &mut Expression, from: &Payment, to: &Payment) {
    match (from.recover_at(), to.recover_at()) {
        (_, Some(at)) => {
            set_value(expression, "recover_shard", item::shard(&to.key));
            set_value(expression, "recover_at", item::number(at.ms()));
        }
        (Some(_), None) => {
            expression.remove("recover_shard");
            expression.remove("recover_at");
        }
        (None, None) => {}
    }
}
