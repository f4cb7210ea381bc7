//! The expression of a write over an item that was read: its changes, and nothing else.

use super::expression::Expression;
use super::item;
use crate::payment::{Payment, Transaction, TransactionKind};

/// One `UpdateItem` that makes `to` of `from`, on condition that `from` is what
/// is there: every write raises the version.
pub(super) fn expression(from: &Payment, to: &Payment) -> Expression {
    let mut expression = Expression::new();
    expression.value(":seen", item::number(from.version));
    expression.condition("version = :seen");
    set(&mut expression, "version", item::number(to.version));
    set(&mut expression, "modified_at", item::number(to.modified_at.ms()));
    let balances = item::balances(&from.balances).into_iter().zip(item::balances(&to.balances));
    for ((name, before), (_, after)) in balances {
        if before != after {
            set(&mut expression, name, item::number(after.minor_units()));
        }
    }
    transactions(&mut expression, from, to);
    set(&mut expression, "item_format", item::number(item::FORMAT));
    stops(&mut expression, from, to);
    slot(&mut expression, from, to);
    recovery(&mut expression, from, to);
    if from.details != to.details {
        set(&mut expression, "details", item::map(item::from_details(&to.details)));
    }
    expression
}

fn set(expression: &mut Expression, name: &str, value: aws_sdk_dynamodb::types::AttributeValue) {
    let placeholder = format!(":{name}");
    expression.set(name, &placeholder);
    expression.value(placeholder, value);
}

fn transactions(expression: &mut Expression, from: &Payment, to: &Payment) {
    let is_changed = |one: &&Transaction| from.transactions.get(&one.id) != Some(*one);
    let removed: Vec<_> =
        from.transactions.values().filter(|one| !to.transactions.contains_key(&one.id)).collect();
    // The amount of a cancel that was reserved unseen waits beside the transactions.
    // Whoever writes an open cancel writes the amounts of all.
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

fn slot(expression: &mut Expression, from: &Payment, to: &Payment) {
    if from.in_flight != to.in_flight {
        match &to.in_flight {
            Some(slot) => set(expression, "inflight", item::map(item::from_slot(slot))),
            None => expression.remove("inflight"),
        }
    }
    if let Some(at) = to.withdrawn_at
        && from.withdrawn_at != to.withdrawn_at
    {
        set(expression, "withdrawn_at", item::number(at.ms()));
    }
}

/// Writes the attributes by which a reservation that does not read the Payment sees
/// that a discrepancy stops its side. They are written each time: an item of format 1
/// has none, whatever its discrepancies.
fn stops(expression: &mut Expression, from: &Payment, to: &Payment) {
    let is_stopped = |payment: &Payment, side| payment.discrepancies_of(side).next().is_some();
    for (name, side) in item::STOPS {
        if is_stopped(to, side) {
            set(expression, name, aws_sdk_dynamodb::types::AttributeValue::Bool(true));
        } else if is_stopped(from, side) {
            expression.remove(name);
        }
    }
}

/// A Payment is in the index while something of it is open, and not longer. An
/// unseen reservation writes its lease there, whatever else was open, so the
/// keys are always written anew.
fn recovery(expression: &mut Expression, from: &Payment, to: &Payment) {
    match (from.recover_at(), to.recover_at()) {
        (_, Some(at)) => {
            set(expression, "recover_shard", item::shard(&to.key));
            set(expression, "recover_at", item::number(at.ms()));
        }
        (Some(_), None) => {
            expression.remove("recover_shard");
            expression.remove("recover_at");
        }
        (None, None) => {}
    }
}
