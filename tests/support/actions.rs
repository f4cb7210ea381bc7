//! Actions as a caller posts them, in JSON.

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

/// The action with the reference that tells the sandbox what to do.
pub fn told(mut action: Value, reference: &str) -> Value {
    action["merchantReference"] = json!(reference);
    action
}
