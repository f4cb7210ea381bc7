//! The Payments and the PSP's own ledger, as they are now.

use crate::error::BoxError;
use crate::local::emulator::Contents;
use crate::local::sandbox::Effect;
use crate::local::server::Psps;
use crate::local::{LocalApi, TABLE};
use crate::payment::{Payment, Reported, State, Transaction};
use crate::platform::{self, format_time, type_name};
use serde_json::{Value, json};
use std::sync::Arc;

/// The Payments that are shown: those that were changed last.
const PAYMENTS_MAX: usize = 100;

/// The places from which Payments and effects are read.
pub(in crate::local) struct Source {
    pub(in crate::local) api: Arc<LocalApi>,
    pub(in crate::local) contents: Contents,
    pub(in crate::local) psps: Psps,
    pub(in crate::local) is_open: bool,
}

impl Source {
    /// Everything, as the page reads it.
    pub(super) async fn snapshot(&self) -> Result<Value, BoxError> {
        let mut payments = Vec::new();
        for key in self.contents.latest_payments(TABLE, PAYMENTS_MAX)? {
            payments.extend(self.api.service().get(&key).await?);
        }
        payments.sort_by(|a, b| (a.created_at, &a.key).cmp(&(b.created_at, &b.key)));
        let effects = self.psps.ledger();
        let payments = payments.iter().map(|payment| shown(payment, effects.as_deref()));
        Ok(json!({
            "isOpen": self.is_open,
            "hasSandbox": effects.is_some(),
            "payments": payments.collect::<Vec<_>>(),
        }))
    }
}

fn shown(payment: &Payment, effects: Option<&[Effect]>) -> Value {
    let balances = &payment.balances;
    let id = payment.key.id.as_str();
    let effects = effects
        .map(|effects| effects.iter().filter(|effect| effect.payment_id == id).collect::<Vec<_>>());
    let mut transactions: Vec<_> = payment.transactions.values().collect();
    transactions.sort_by_key(|transaction| transaction.timestamp);
    json!({
        "project": payment.key.project.as_str(),
        "id": id,
        "version": payment.version,
        "key": payment.details.key,
        "paymentInterface": payment.details.payment_interface,
        "method": payment.details.method,
        "currency": payment.currency().code(),
        "fractionDigits": payment.fraction_digits,
        "planned": payment.details.amount_planned.map(|planned| planned.minor_units()),
        "authorized": balances.authorized.minor_units(),
        "capturable": balances.capturable.minor_units(),
        "captured": balances.captured.minor_units(),
        "refundable": balances.refundable.minor_units(),
        "refunded": balances.refunded.minor_units(),
        "cancelled": balances.cancelled.minor_units(),
        "inFlight": payment.in_flight.as_ref().map(|slot| slot.transaction.as_str()),
        "hasDiscrepancy": payment.discrepancies().next().is_some(),
        "transactions": transactions.into_iter().map(shown_transaction).collect::<Vec<_>>(),
        "effects": effects,
    })
}

fn shown_transaction(transaction: &Transaction) -> Value {
    json!({
        "id": transaction.id.as_str(),
        "type": type_name(transaction.kind),
        "state": state_name(transaction.state),
        "amount": transaction.amount.minor_units(),
        "at": format_time(transaction.happened_at.unwrap_or(transaction.timestamp)),
        "merchantReference": transaction.merchant_reference,
        "interactionId": transaction.interaction_id,
        "interfaceId": transaction.interface_id,
        "isExternal": transaction.is_external,
        "isDiscrepant": transaction.is_discrepant(),
        "reported": transaction.reported.as_ref().map(shown_report),
        "acknowledged": transaction.acknowledged.as_ref().map(shown_report),
    })
}

fn shown_report(reported: &Reported) -> Value {
    json!({"by": reported.by, "at": format_time(reported.at)})
}

/// The state in the ledger. The platform has no word for Unknown.
fn state_name(state: State) -> &'static str {
    if state == State::Unknown { "Unknown" } else { platform::state_name(state) }
}
