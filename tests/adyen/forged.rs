//! Messages that Adyen did not send, or not so.

use crate::support::payments::capture;
use crate::support::random::Random;
use crate::world::{OLD_KEY, World, is_recorded};
use payment_intents::local::adyen::AdyenSandbox;
use payment_intents::ports::WebhookRefusal;
use payment_intents::service::{WebhookError, WebhookOutcome};
use serde_json::{Value, json};

const KEY: &str = AdyenSandbox::HMAC_KEY;

fn is_not_signed(taken: &Result<WebhookOutcome, WebhookError>) -> bool {
    matches!(taken, Err(WebhookError::Refused(WebhookRefusal::NotSigned)))
}

fn with(item: &Value, pointer: &str, value: Value) -> Value {
    let mut changed = item.clone();
    *changed.pointer_mut(pointer).unwrap() = value;
    changed
}

#[tokio::test]
async fn only_what_adyen_signed_is_read() {
    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    let good = world.event("CAPTURE");
    let signature = good["additionalData"]["hmacSignature"].as_str().unwrap().to_owned();
    let signed_as = |text: &str| with(&good, "/additionalData/hmacSignature", json!(text));
    let without = |pointer: &str, name: &str| {
        let mut changed = good.clone();
        changed.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(name);
        changed
    };
    // A colon moves the boundary between two values, and the signed text stays the same.
    let with_colon = with(&good, "/merchantReference", json!("order:7"));
    let with_colon = AdyenSandbox::signed(KEY, with_colon);
    let text = |name: &str| with_colon[name].as_str().unwrap().to_owned();
    let mut moved = with_colon.clone();
    moved["pspReference"] =
        json!(format!("{}:{}", text("pspReference"), text("originalReference")));
    moved["originalReference"] = with_colon["merchantAccountCode"].clone();
    moved["merchantAccountCode"] = json!("order");
    moved["merchantReference"] = json!("7");
    assert_eq!(AdyenSandbox::signed(KEY, moved.clone()), moved, "the signature is the same");
    for (item, is_taken) in [
        (good.clone(), true),
        (with_colon.clone(), true),
        (AdyenSandbox::signed(OLD_KEY, good.clone()), true),
        (AdyenSandbox::signed(&KEY.to_lowercase(), good.clone()), true),
        (AdyenSandbox::signed(&"11".repeat(32), good.clone()), false),
        (signed_as(""), false),
        (signed_as(&signature.to_lowercase()), false),
        (signed_as(&signature[..43]), false),
        (signed_as(&format!("{signature}=")), false),
        (signed_as(&format!(" {signature}")), false),
        (with(&good, "/additionalData/hmacSignature", Value::Null), false),
        (without("/additionalData", "hmacSignature"), false),
        (without("", "additionalData"), false),
        (without("", "pspReference"), false),
        (with(&good, "/amount/value", json!(101)), false),
        (with(&good, "/amount/value", json!("100")), false),
        (with(&good, "/amount/currency", json!("USD")), false),
        (with(&good, "/success", json!("false")), false),
        (with(&good, "/success", json!(true)), false),
        (with(&good, "/eventCode", json!("REFUND")), false),
        (with(&good, "/merchantReference", json!("d")), false),
        (with(&good, "/originalReference", json!("PAYMENT000000002")), false),
        (with(&good, "/merchantAccountCode", json!("OtherShop")), false),
        (moved, false),
    ] {
        world.shim.calls();
        let taken = world.deliver(&item).await;
        assert_eq!(is_recorded(&taken), is_taken, "{item} {taken:?}");
        if !is_taken {
            assert!(is_not_signed(&taken), "{item} {taken:?}");
            assert!(world.shim.calls().is_empty(), "nothing is read or written");
        }
    }
    let text = AdyenSandbox::notification(&[good]).to_string();
    let twice =
        text.replacen("\"success\":\"true\"", "\"success\":\"true\",\"success\":\"true\"", 1);
    let many = AdyenSandbox::notification(&vec![world.event("CAPTURE"); 33]).to_string();
    for body in ["", "[]", "{}", "<html>", r#"{"notificationItems":[]}"#, &twice, &many] {
        let taken = world.post(body.as_bytes()).await;
        assert!(is_not_signed(&taken), "{body} {taken:?}");
    }
}

/// 10,000 messages that are forged, or altered where they are signed.
#[tokio::test]
async fn no_forged_or_altered_message_is_taken() {
    let world = World::new().await;
    world.act("c", capture(100)).await.unwrap();
    let good = world.event("CAPTURE");
    assert!(is_recorded(&world.deliver(&good).await));
    world.shim.calls();
    let mut random = Random::new(7, 0);
    let texts = [
        "/pspReference",
        "/originalReference",
        "/merchantAccountCode",
        "/merchantReference",
        "/amount/currency",
        "/eventCode",
        "/success",
    ];
    for number in 0..10_000_u64 {
        let forged = match number % 5 {
            // One bit of a signed text, which stays ASCII.
            0 | 1 => {
                let pointer = random.one_of(&texts);
                let mut bytes =
                    good.pointer(pointer).unwrap().as_str().unwrap().as_bytes().to_vec();
                let at = random.index(bytes.len());
                bytes[at] ^= 1 << random.below(7);
                with(&good, pointer, json!(String::from_utf8(bytes).unwrap()))
            }
            // Another amount.
            2 => {
                let value = random.below(1_000_000);
                let other = if value == 100 { 1_000_001 } else { value };
                with(&good, "/amount/value", json!(other))
            }
            // One letter of the signature.
            3 => {
                let mut signature =
                    good["additionalData"]["hmacSignature"].as_str().unwrap().to_owned();
                // The last letter before the padding has bits that mean nothing.
                let at = random.index(signature.len() - 2);
                let letter = if &signature[at..=at] == "A" { "B" } else { "A" };
                signature.replace_range(at..=at, letter);
                with(&good, "/additionalData/hmacSignature", json!(signature))
            }
            // Another key.
            _ => {
                let key = format!("{:064x}", u128::from(random.below(u64::MAX)));
                AdyenSandbox::signed(&key, good.clone())
            }
        };
        let taken = world.deliver(&forged).await;
        assert!(is_not_signed(&taken), "{number}: {forged} {taken:?}");
    }
    assert!(world.shim.calls().is_empty(), "nothing is read or written");
}

/// The signature does not cover these. Altered, they make no difference to the ledger.
#[tokio::test]
async fn what_is_not_signed_changes_no_amount_and_no_state() {
    let world = World::new().await;
    world.act("c", capture(40)).await.unwrap();
    let good = world.event("CAPTURE");
    assert!(is_recorded(&world.deliver(&good).await));
    let states = async || {
        let payment = world.payment().await;
        let one = |one: &payment_intents::payment::Transaction| (one.kind, one.state, one.amount);
        (payment.balances, payment.transactions.values().map(one).collect::<Vec<_>>())
    };
    let before = states().await;
    for (pointer, value) in [
        ("/reason", json!("Transaction Recaptured")),
        ("/paymentMethod", json!("other")),
        ("/eventDate", json!("2000-01-01T00:00:00Z")),
        ("/eventDate", json!("2023-11-14T23:13:30+01:00")),
    ] {
        let taken = world.deliver(&with(&good, pointer, value)).await;
        assert!(is_recorded(&taken), "{pointer} {taken:?}");
        assert_eq!(states().await, before, "{pointer}");
    }
}
