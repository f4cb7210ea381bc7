//! The reservation without a read: the rules of [`crate::payment::Payment::admit`] as a
//! condition, and the reservation as an update.

use super::expression::Expression;
use super::item::{self, Tag};
use crate::money::Money;
use crate::payment::{Action, InFlight, Payment, Reservation, TransactionId, TransactionKind};

/// The `UpdateItem` that makes a reservation. A reversal is tried as a cancel.
pub(super) fn expression(reservation: &Reservation) -> Expression {
    let mut expression = Expression::new();
    admit_identity(&mut expression, reservation);
    admit_sides(&mut expression, &reservation.action);
    match &reservation.action {
        Action::Capture { amount } => {
            admit_amount(&mut expression, "capturable", *amount);
            put_transaction(&mut expression, reservation, TransactionKind::Charge, Some(*amount));
        }
        Action::Refund { amount, charge } => {
            admit_amount(&mut expression, "refundable", *amount);
            if let Some(charge) = charge {
                admit_charge(&mut expression, charge, &reservation.transaction);
            }
            put_transaction(&mut expression, reservation, TransactionKind::Refund, Some(*amount));
        }
        Action::Cancel | Action::Reverse => {
            admit_cancel(&mut expression);
            put_transaction(
                &mut expression,
                reservation,
                TransactionKind::CancelAuthorization,
                None,
            );
        }
    }
    hold_slot(&mut expression, reservation);
    expression
}

fn admit_identity(expression: &mut Expression, reservation: &Reservation) {
    expression.name("#id", reservation.transaction.as_str());
    expression.value(":at", item::number(reservation.at.ms()));
    expression.value(":format", item::number(item::FORMAT));
    expression.value(":limit", item::count(Payment::TRANSACTIONS_MAX));
    expression.condition("item_format = :format");
    expression.condition("attribute_not_exists(inflight)");
    expression.condition("attribute_not_exists(transactions.#id)");
    expression.condition("size(transactions) < :limit");
    expression.condition("(attribute_not_exists(withdrawn_at) OR withdrawn_at < :at)");
}

/// Refuses an action on a side that a discrepancy stops.
fn admit_sides(expression: &mut Expression, action: &Action) {
    for (name, side) in item::STOPS {
        if action.sides().contains(&side) {
            expression.condition(format!("attribute_not_exists({name})"));
        }
    }
}

/// Subtracts the amount from the available one, which has to be large enough.
fn admit_amount(expression: &mut Expression, available: &str, amount: Money) {
    expression.value(":amount", item::number(amount.minor_units()));
    expression.value(":currency", item::text(amount.currency().code()));
    expression.condition("currency = :currency");
    expression.condition(format!("{available} >= :amount"));
    expression.set(available, &format!("{available} - :amount"));
}

/// Subtracts the amount from the rest of the Charge. Only a successful Charge has that
/// attribute. A transaction cannot refund itself: that condition always fails.
fn admit_charge(expression: &mut Expression, charge: &TransactionId, own: &TransactionId) {
    if charge == own {
        return expression.condition("attribute_not_exists(pk)");
    }
    expression.name("#charge", charge.as_str());
    let left = format!("transactions.#charge.{}", Tag::REFUNDABLE);
    expression.condition(format!("{left} >= :amount"));
    expression.set(&left, &format!("{left} - :amount"));
}

/// Holds the whole authorized amount. An expression cannot write this amount into the new
/// transaction, so that it is stored in a separate attribute until the transaction is
/// next written.
fn admit_cancel(expression: &mut Expression) {
    expression.value(":zero", item::number(0));
    expression.condition("authorized > :zero");
    expression.condition("capturable = authorized");
    expression.set(item::CANCELLING, "capturable");
    expression.set("capturable", ":zero");
}

fn put_transaction(
    expression: &mut Expression,
    reservation: &Reservation,
    kind: TransactionKind,
    amount: Option<Money>,
) {
    let stored = item::reserved(reservation, kind, amount);
    expression.value(":transaction", item::map(stored));
    expression.set("transactions.#id", ":transaction");
}

fn hold_slot(expression: &mut Expression, reservation: &Reservation) {
    let slot = InFlight::first(reservation);
    expression.value(":slot", item::map(item::from_slot(&slot)));
    expression.value(":one", item::number(1));
    expression.value(":shard", item::shard(&reservation.key));
    expression.value(":lease", item::number(reservation.lease.ms()));
    expression.set("inflight", ":slot");
    expression.set("version", "version + :one");
    expression.set("modified_at", ":at");
    expression.set("recover_shard", ":shard");
    expression.set("recover_at", ":lease");
}
