//! The notification items of the Adyen on localhost, signed as Adyen signs them.

use super::AdyenSandbox;
use crate::clock::SystemClock;
use crate::payment::Timestamp;
use crate::platform::format_time;
use crate::ports::Clock;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};

/// The items so far, in order.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) all: Vec<Value>,
    /// The date of the last event, in tests with another clock.
    pub(super) time: Option<Timestamp>,
}

/// The contents of an item.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) event_code: &'a str,
    pub(super) psp_reference: &'a str,
    pub(super) original_reference: Option<&'a str>,
    pub(super) merchant_reference: &'a str,
    pub(super) amount: u64,
    pub(super) currency: &'a str,
    pub(super) is_success: bool,
    pub(super) reason: &'a str,
}

impl Events {
    pub(super) fn add(&mut self, subject: &Subject<'_>) {
        let at = match &mut self.time {
            Some(time) => {
                *time = time.plus_ms(1_000);
                *time
            }
            None => SystemClock.now(),
        };
        let mut item = json!({
            "amount": {"currency": subject.currency, "value": subject.amount},
            "eventCode": subject.event_code,
            "eventDate": adyen_time(at),
            "merchantAccountCode": AdyenSandbox::MERCHANT_ACCOUNT,
            "merchantReference": subject.merchant_reference,
            "paymentMethod": "visa",
            "pspReference": subject.psp_reference,
            "reason": subject.reason,
            "success": if subject.is_success { "true" } else { "false" },
        });
        if let (Some(original), Some(fields)) = (subject.original_reference, item.as_object_mut()) {
            fields.insert("originalReference".to_owned(), json!(original));
        }
        self.all.push(AdyenSandbox::signed(AdyenSandbox::HMAC_KEY, item));
    }
}

/// Whole seconds and an offset: `2021-07-17T13:42:40+00:00`.
fn adyen_time(at: Timestamp) -> String {
    let text = format_time(at);
    let seconds = text.split('.').next().unwrap_or_default();
    format!("{seconds}+00:00")
}

impl AdyenSandbox {
    /// The item with its signature by this key, in place of the one that it has.
    pub fn signed(key: &str, mut item: Value) -> Value {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        let amount = item.get("amount").cloned().unwrap_or_default();
        let signed = [
            text("pspReference").to_owned(),
            text("originalReference").to_owned(),
            text("merchantAccountCode").to_owned(),
            text("merchantReference").to_owned(),
            amount.get("value").map(Value::to_string).unwrap_or_default(),
            amount.get("currency").and_then(Value::as_str).unwrap_or_default().to_owned(),
            text("eventCode").to_owned(),
            text("success").to_owned(),
        ];
        let digits = |pair: &[u8]| std::str::from_utf8(pair).map(str::to_owned).unwrap_or_default();
        let bytes: Vec<u8> = key
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(&digits(pair), 16).unwrap_or_default())
            .collect();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        let tag = STANDARD.encode(hmac::sign(&key, signed.join(":").as_bytes()));
        if let Some(fields) = item.as_object_mut() {
            let data = fields.entry("additionalData").or_insert_with(|| json!({}));
            if let Some(data) = data.as_object_mut() {
                data.insert("hmacSignature".to_owned(), json!(tag));
            }
        }
        item
    }

    /// The message with these items.
    pub fn notification(items: &[Value]) -> Value {
        let items: Vec<_> =
            items.iter().map(|item| json!({"NotificationRequestItem": item})).collect();
        json!({"live": "false", "notificationItems": items})
    }
}
