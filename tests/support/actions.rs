//! The JSON of actions, and of the update actions that report effects.

use serde_json::{Value, json};

pub fn capture(cent_amount: u64) -> Value {
    amount("capturePayment", cent_amount, "EUR")
}

pub fn refund(cent_amount: u64) -> Value {
    amount("refundPayment", cent_amount, "EUR")
}

pub fn cancel() -> Value {
    json!({"action": "cancelPayment"})
}

pub fn reverse() -> Value {
    json!({"action": "reversePayment"})
}

pub fn amount(action: &str, cent_amount: u64, currency_code: &str) -> Value {
    json!({
        "action": action,
        "amount": {"centAmount": cent_amount, "currencyCode": currency_code},
    })
}

/// The action with a reference that scripts the sandbox.
pub fn with_reference(mut action: Value, reference: &str) -> Value {
    action["merchantReference"] = json!(reference);
    action
}

/// Reports an effect at the PSP.
pub fn report(r#type: &str, state: &str, cent_amount: u64) -> Value {
    let amount = json!({"centAmount": cent_amount, "currencyCode": "EUR"});
    let transaction = json!({"type": r#type, "state": state, "amount": amount});
    json!({"action": "addTransaction", "transaction": transaction})
}

/// Reports the state of one of our transactions.
pub fn report_state(transaction: &str, state: &str) -> Value {
    json!({"action": "changeTransactionState", "transactionId": transaction, "state": state})
}
