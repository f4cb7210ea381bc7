//! The contract of the API: the real local server, and well-formed and malformed requests
//! of clients.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod support;

use serde_json::{Value, json};
use support::{
    AUTHORIZED, AUTHORIZED_JPY, CAPTURED, PENDING, Server, amount, cancel, capture, refund,
    reverse, with_reference,
};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_payment_is_captured_in_part_refunded_and_read_back() {
    let server = Server::start().await;
    let captured = server.act(AUTHORIZED, capture(4000), &[]).await;
    assert_eq!((captured.status, &captured.body), (200, &json!({})));
    let refused = server.act(AUTHORIZED, capture(7000), &[]).await;
    assert_eq!(refused.outcome(), (400, "InvalidOperation"));
    assert_eq!(
        refused.body["message"],
        "Cannot capture 7000 EUR: 6000 is left to capture (in minor units)."
    );
    let refunded = server.act(AUTHORIZED, refund(1000), &[]).await;
    assert_eq!(refunded.status, 200);
    assert_eq!(
        server.transactions(AUTHORIZED).await,
        ["Authorization Success 10000", "Charge Success 4000", "Refund Success 1000"]
    );
    let effects = [("capturePayment".to_owned(), 4000), ("refundPayment".to_owned(), 1000)];
    assert_eq!(server.effects(AUTHORIZED).await, effects);
}

#[tokio::test]
async fn a_reversal_releases_what_is_authorized_and_refunds_what_is_captured() {
    let server = Server::start().await;
    assert_eq!(server.act(AUTHORIZED_JPY, reverse(), &[]).await.status, 200);
    assert_eq!(server.transactions(AUTHORIZED_JPY).await[1], "CancelAuthorization Success 5000");
    assert_eq!(server.act(CAPTURED, reverse(), &[]).await.status, 200);
    assert_eq!(server.transactions(CAPTURED).await[2], "Refund Success 10000");
    assert_eq!(server.act(AUTHORIZED, cancel(), &[]).await.status, 200);
    assert_eq!(server.act(AUTHORIZED, cancel(), &[]).await.outcome(), (400, "InvalidOperation"));
}

#[tokio::test]
async fn a_refund_of_one_charge_is_limited_by_it() {
    let server = Server::start().await;
    server.act(AUTHORIZED, capture(6000), &[]).await;
    let first = server.act(AUTHORIZED, capture(4000), &[]).await;
    let charge = first.header("x-transaction-id").unwrap().to_owned();
    let of_charge = |cents, charge: &str| {
        let mut action = refund(cents);
        action["transactionId"] = json!(charge);
        action
    };
    let reply = server.act(AUTHORIZED, of_charge(4001, &charge), &[]).await;
    assert_eq!(reply.outcome(), (400, "InvalidOperation"));
    assert_eq!(server.act(AUTHORIZED, of_charge(4000, &charge), &[]).await.status, 200);
    assert_eq!(server.act(AUTHORIZED, of_charge(1, &charge), &[]).await.status, 400);
    assert_eq!(server.act(AUTHORIZED, of_charge(1, "no-such-charge"), &[]).await.status, 400);
    assert_eq!(server.act(AUTHORIZED, refund(6000), &[]).await.status, 200);
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_the_contract_promises() {
    let server = Server::start().await;
    let mine = ("x-correlation-id", "not-a-uuid/1");
    let replies = [
        server.act(AUTHORIZED, capture(1), &[mine]).await,
        server.act(AUTHORIZED, capture(1_000_000), &[mine]).await,
        server.act(AUTHORIZED, with_reference(capture(1), "sandbox:error"), &[mine]).await,
        server.act("unknown", capture(1), &[mine]).await,
        server.send("GET", "/nowhere", &[mine], "").await,
        server.send("PUT", "/demo/payments", &[mine], "").await,
        server.send("GET", &format!("/demo/payments/{AUTHORIZED}"), &[mine], "").await,
    ];
    for reply in replies {
        assert_eq!(reply.header("content-type"), Some("application/json"), "{reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{reply:?}");
        assert_eq!(reply.header("x-correlation-id"), Some(mine.1), "{reply:?}");
        if reply.status >= 400 {
            assert_eq!(reply.body["statusCode"], reply.status, "{reply:?}");
            assert_eq!(reply.body["message"], reply.body["errors"][0]["message"], "{reply:?}");
        }
    }
    for unusable in ["", "with space", &"x".repeat(257)] {
        let reply = server.act(AUTHORIZED, capture(1), &[("x-correlation-id", unusable)]).await;
        assert_eq!(reply.header("x-correlation-id").unwrap().len(), 36, "{unusable:?}");
    }
}

#[tokio::test]
async fn each_refusal_of_the_ledger_is_named() {
    let server = Server::with(&["--connector-timeout-ms", "300"], &[]).await;
    for (payment, action, status, code) in [
        (AUTHORIZED, amount("capturePayment", 100, "USD"), 400, "InvalidOperation"),
        (AUTHORIZED, amount("capturePayment", 100, "QQQ"), 400, "InvalidOperation"),
        (AUTHORIZED, capture(10_001), 400, "InvalidOperation"),
        (AUTHORIZED, refund(1), 400, "InvalidOperation"),
        (CAPTURED, capture(1), 400, "InvalidOperation"),
        (CAPTURED, refund(10_001), 400, "InvalidOperation"),
        (CAPTURED, cancel(), 400, "InvalidOperation"),
        (PENDING, capture(1), 400, "InvalidOperation"),
        (PENDING, reverse(), 400, "InvalidOperation"),
        (AUTHORIZED, with_reference(capture(1), "sandbox:rejected"), 400, "PaymentFailure"),
        (AUTHORIZED, with_reference(capture(1), "sandbox:refuse"), 502, "ConnectorFailed"),
        (AUTHORIZED, with_reference(capture(1), "sandbox:timeout"), 500, "General"),
        // The outcome of that one is still open.
        (AUTHORIZED, cancel(), 400, "InvalidOperation"),
        (AUTHORIZED, reverse(), 400, "InvalidOperation"),
        ("unknown", capture(1), 404, "ResourceNotFound"),
    ] {
        let reply = server.act(payment, action.clone(), &[]).await;
        assert_eq!(reply.outcome(), (status, code), "{action} {:?}", reply.body);
    }
    let reply = server.act("unknown", capture(1), &[]).await;
    assert_eq!(reply.body["message"], "The Resource with ID unknown was not found.");
    assert_eq!(
        reply.error(),
        json!({"code": "ResourceNotFound", "resourceIdentifier": "id", "resourceId": "unknown"})
    );
    let path = format!("/other/payment-intents/{AUTHORIZED}");
    let body = json!({"actions": [capture(1)]}).to_string();
    let foreign = server.send("POST", &path, &[JSON], body).await;
    assert_eq!(foreign.outcome(), (404, "ResourceNotFound"));
}

#[tokio::test]
async fn each_invalid_body_is_answered_with_its_error() {
    let server = Server::start().await;
    let path = format!("/demo/payment-intents/{AUTHORIZED}");
    let missing = |field: &str| json!({"code": "RequiredField", "field": field});
    let invalid = |field: &str, value: Value| json!({"code": "InvalidField", "field": field, "invalidValue": value});
    let cent = |amount: &str| {
        format!(
            r#"{{"actions":[{{"action":"capturePayment","amount":{{"centAmount":{amount},"currencyCode":"EUR"}}}}]}}"#
        )
    };
    let with = |field: &str, value: Value| {
        let mut action = capture(1);
        action[field] = value;
        json!({"actions": [action]}).to_string()
    };
    let currency = |value: Value| with("amount", json!({"centAmount": 1, "currencyCode": value}));
    let names = ["capturePayment", "refundPayment", "cancelPayment", "reversePayment"];
    let rows: Vec<(String, Value)> = vec![
        ("{}".to_owned(), missing("actions")),
        (r#"{"actions":null}"#.to_owned(), missing("actions")),
        (r#"{"actions":[]}"#.to_owned(), missing("actions")),
        (r#"{"actions":[{}]}"#.to_owned(), missing("action")),
        (r#"{"actions":[{"action":null}]}"#.to_owned(), missing("action")),
        (
            r#"{"actions":[{"action":"stealPayment"}]}"#.to_owned(),
            json!({"code": "InvalidField", "field": "action", "invalidValue": "stealPayment",
                   "allowedValues": names}),
        ),
        (
            r#"{"actions":[{"action":7}]}"#.to_owned(),
            json!({"code": "InvalidField", "field": "action", "invalidValue": 7,
                   "allowedValues": names}),
        ),
        (json!({"actions": [capture(1), capture(1)]}).to_string(), json!({"code": "MultipleActionsNotAllowed"})),
        (r#"{"actions":[{"action":"capturePayment"}]}"#.to_owned(), missing("amount")),
        (with("amount", json!(5)), invalid("amount", json!(5))),
        (with("amount", json!({"currencyCode": "EUR"})), missing("amount.centAmount")),
        (with("amount", json!({"centAmount": 1})), missing("amount.currencyCode")),
        (cent("null"), missing("amount.centAmount")),
        (cent("\"12\""), invalid("amount.centAmount", json!("12"))),
        (cent("1.5"), invalid("amount.centAmount", json!(1.5))),
        (cent("1.0"), invalid("amount.centAmount", json!(1.0))),
        (cent("1e2"), invalid("amount.centAmount", json!(1e2))),
        (cent("-1"), invalid("amount.centAmount", json!(-1))),
        (cent("0"), invalid("amount.centAmount", json!(0))),
        (cent("-0"), invalid("amount.centAmount", serde_json::from_str("-0").unwrap())),
        (cent("9007199254740992"), invalid("amount.centAmount", json!(9_007_199_254_740_992_u64))),
        (cent("18446744073709551615"), invalid("amount.centAmount", json!(u64::MAX))),
        (cent("true"), invalid("amount.centAmount", json!(true))),
        (cent("[1]"), invalid("amount.centAmount", json!([1]))),
        (currency(json!("eur")), invalid("amount.currencyCode", json!("eur"))),
        (currency(json!("EURO")), invalid("amount.currencyCode", json!("EURO"))),
        (currency(json!(978)), invalid("amount.currencyCode", json!(978))),
        (with("merchantReference", json!("")), invalid("merchantReference", json!(""))),
        (with("merchantReference", json!("a\nb")), invalid("merchantReference", json!("a\nb"))),
        (with("merchantReference", json!(7)), invalid("merchantReference", json!(7))),
        (
            r#"{"actions":[{"action":"refundPayment","amount":{"centAmount":1,"currencyCode":"EUR"},"transactionId":""}]}"#.to_owned(),
            invalid("transactionId", json!("")),
        ),
    ];
    for (body, expected) in rows {
        let reply = server.send("POST", &path, &[JSON], body.clone()).await;
        assert_eq!(reply.status, 400, "{body}");
        assert_eq!(reply.error(), expected, "{body}");
    }
    // Values from 2^64 on appear in the message with every digit.
    let reply = server.send("POST", &path, &[JSON], cent("18446744073709551616")).await;
    let message = "The value 18446744073709551616 is not valid for field amount.centAmount.";
    assert_eq!(reply.body["message"], message);
    assert_eq!(server.transactions(AUTHORIZED).await.len(), 1);
}

#[tokio::test]
async fn all_invalid_fields_are_named_in_one_answer() {
    let server = Server::start().await;
    let action = json!({"action": "capturePayment", "amount": {}, "merchantReference": 1});
    let reply = server.act(AUTHORIZED, action, &[("idempotency-key", "a,b")]).await;
    let errors = reply.body["errors"].as_array().unwrap();
    let fields: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    let expected =
        ["Idempotency-Key", "merchantReference", "amount.centAmount", "amount.currencyCode"];
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn a_body_that_is_not_valid_json_is_refused() {
    let server = Server::start().await;
    let path = format!("/demo/payment-intents/{AUTHORIZED}");
    let nested = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let nested_field = format!(r#"{{"actions":[{{"action":"cancelPayment","x":{nested}}}]}}"#);
    let rows: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\"12\"".to_vec(),
        br#"{"actions":{}}"#.to_vec(),
        br#"{"actions":"capturePayment"}"#.to_vec(),
        br#"{"actions":[null]}"#.to_vec(),
        br#"{"actions":[[]]}"#.to_vec(),
        br#"{"actions":["capturePayment"]}"#.to_vec(),
        br#"{"actions":[{"action":"cancelPayment"}]} x"#.to_vec(),
        br#"{"actions":[{"action":"cancelPayment","action":"cancelPayment"}]}"#.to_vec(),
        br#"{"actions":[{"action":"cancelPayment"}],"actions":[]}"#.to_vec(),
        br#"{"actions":[{"action":"capturePayment","amount":{"centAmount":1,"centAmount":2,"currencyCode":"EUR"}}]}"#.to_vec(),
        b"{\"actions\":[{\"action\":\"cancelPayment\",\"x\":\"\xff\"}]}".to_vec(),
        nested.into_bytes(),
        nested_field.into_bytes(),
    ];
    for body in rows {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let reply = server.send("POST", &path, &[JSON], body).await;
        assert_eq!(reply.outcome(), (400, "InvalidJsonInput"), "{shown}");
        assert_eq!(reply.body["message"], "Request body does not contain valid JSON.");
        let detail = reply.body["errors"][0]["detailedErrorMessage"].as_str().unwrap();
        assert!(!detail.is_empty(), "{shown}");
    }
    assert_eq!(server.transactions(AUTHORIZED).await.len(), 1);
}

#[tokio::test]
async fn size_and_type_are_checked_before_the_body_is_read() {
    let server = Server::start().await;
    let path = format!("/demo/payment-intents/{AUTHORIZED}");
    let body = |length: usize| {
        let body = json!({"actions": [capture(1)]}).to_string();
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    let too_long =
        server.send("POST", &path, &[("content-type", "text/plain")], body(16_385)).await;
    assert_eq!(too_long.outcome(), (413, "ContentTooLarge"));
    let seventeen = server.send("POST", &path, &[JSON], body(17 * 1024)).await;
    assert_eq!(seventeen.status, 413);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let wrong = server.send("POST", &path, &form, "{").await;
    assert_eq!(wrong.outcome(), (415, "UnsupportedMediaType"));
    assert_eq!(server.send("POST", &path, &[JSON], body(16_384)).await.status, 200);
    assert_eq!(server.send("POST", &path, &[], body(100)).await.status, 200);
}

#[tokio::test]
async fn paths_that_are_not_exactly_a_route_are_not_found() {
    let server = Server::start().await;
    let body = json!({"actions": [capture(1)]}).to_string();
    for path in [
        format!("/x/../demo/payment-intents/{AUTHORIZED}"),
        format!("/./demo/payment-intents/{AUTHORIZED}"),
        format!("/%2e%2e/demo/payment-intents/{AUTHORIZED}"),
        format!("/demo/payment-intents/{AUTHORIZED}/"),
        format!("/demo/payment-intents/%2F{AUTHORIZED}"),
        format!("/demo%2Fpayment-intents/{AUTHORIZED}"),
        format!("/demo/payment-intents/x/../{AUTHORIZED}"),
        format!("//demo/payment-intents/{AUTHORIZED}"),
        format!("/Demo/payment-intents/{AUTHORIZED}"),
        "/demo/payment-intents/..".to_owned(),
        "/demo/payment-intents/a%00b".to_owned(),
        format!("/demo/payment-intents/{}", "x".repeat(257)),
        "/demo".to_owned(),
        "/".to_owned(),
    ] {
        let reply = server.send("POST", &path, &[JSON], body.clone()).await;
        assert_eq!(reply.outcome(), (404, "ResourceNotFound"), "{path}");
    }
    assert_eq!(server.transactions(AUTHORIZED).await.len(), 1);
}

#[tokio::test]
async fn another_method_on_a_known_path_is_answered_405_with_the_allowed_ones() {
    let server = Server::start().await;
    for (method, path, allow) in [
        ("GET", format!("/demo/payment-intents/{AUTHORIZED}"), "POST"),
        ("DELETE", format!("/demo/payment-intents/{AUTHORIZED}"), "POST"),
        ("PUT", format!("/demo/payments/{AUTHORIZED}"), "GET, POST"),
        ("POST", "/demo/payments/key=order-1".to_owned(), "GET"),
        ("DELETE", "/demo/payments".to_owned(), "GET, POST"),
    ] {
        let reply = server.send(method, &path, &[], "").await;
        assert_eq!(reply.outcome(), (405, "MethodNotAllowed"), "{method} {path}");
        assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
    }
}

#[tokio::test]
async fn the_caller_chooses_the_form_of_the_answer() {
    let outcome = |word: &str| json!({"outcome": word});
    let whole = ("prefer", "return=representation");
    let minimal = ("prefer", "return=minimal");
    for (variables, preference, reference, status, body) in [
        (vec![], Some(whole), "-", 200, outcome("approved")),
        (vec![], Some(whole), "sandbox:received", 200, outcome("received")),
        (vec![], Some(whole), "sandbox:rejected", 200, outcome("rejected")),
        (vec![], None, "sandbox:received", 200, json!({})),
        (vec![("RESPONSE", "outcome")], None, "-", 200, outcome("approved")),
        (vec![("RESPONSE", "outcome")], None, "sandbox:rejected", 200, outcome("rejected")),
        (vec![("RESPONSE", "outcome")], Some(minimal), "-", 200, json!({})),
    ] {
        let server = Server::with(&[], &variables).await;
        let headers: Vec<_> = preference.into_iter().collect();
        let reply = server.act(AUTHORIZED, with_reference(capture(1), reference), &headers).await;
        assert_eq!((reply.status, &reply.body), (status, &body), "{reference}");
        let applied = preference.map(|(_, value)| value);
        assert_eq!(reply.header("preference-applied"), applied, "{reference}");
    }
}

#[tokio::test]
async fn a_payment_has_room_for_fifty_transactions() {
    let server = Server::start().await;
    for _ in 0..49 {
        assert_eq!(server.act(AUTHORIZED, capture(1), &[]).await.status, 200);
    }
    let reply = server.act(AUTHORIZED, capture(1), &[]).await;
    let expected =
        json!({"code": "MaxResourceLimitExceeded", "limit": 50, "resourceTypeId": "transaction"});
    assert_eq!((reply.status, reply.error()), (400, expected));
}

#[tokio::test]
async fn a_registered_payment_is_answered_as_the_platform_represents_it() {
    let server = Server::start().await;
    let draft = json!({
        "id": "order-1/not", "key": "k-1", "interfaceId": "psp-1", "anonymousId": "anonymous",
        "amountPlanned": {"currencyCode": "BHD", "centAmount": 12345},
        "paymentMethodInfo": {"paymentInterface": "adyen", "method": "card", "name": {"en": "Card"}},
        "paymentStatus": {"interfaceCode": "201", "interfaceText": "ok"},
        "customer": {"typeId": "customer", "id": "c-1"},
        "custom": {"type": {"typeId": "type", "key": "t"}, "fields": {"rate": 1.50}},
        "interfaceInteractions": [{"type": {"typeId": "type", "key": "t"}, "fields": {}}],
        "transactions": [{
            "type": "Authorization", "state": "Success", "interactionId": "i-1", "interfaceId": "f-1",
            "timestamp": "2026-11-22T10:00:00+01:00",
            "amount": {"type": "centPrecision", "currencyCode": "BHD", "centAmount": 12345}
        }],
        "unknownField": [1, 2, 3],
    });
    let refused = server.send("POST", "/demo/payments", &[JSON], draft.to_string()).await;
    assert_eq!(refused.body["errors"][0]["field"], "id");
    let mut draft = draft;
    draft["id"] = json!("order-1");
    let created = server.send("POST", "/demo/payments", &[JSON], draft.to_string()).await;
    assert_eq!(created.status, 201, "{created:?}");
    let mut body = created.body.clone();
    for made in ["createdAt", "lastModifiedAt"] {
        assert!(body[made].as_str().unwrap().ends_with('Z'));
        body.as_object_mut().unwrap().remove(made);
    }
    let transaction = body["transactions"][0]["id"].take();
    assert_eq!(transaction.as_str().unwrap().len(), 36);
    assert_eq!(
        body,
        json!({
            "id": "order-1", "version": 1, "key": "k-1", "interfaceId": "psp-1", "anonymousId": "anonymous",
            "amountPlanned": {"type": "centPrecision", "currencyCode": "BHD", "centAmount": 12345, "fractionDigits": 3},
            "paymentMethodInfo": {"paymentInterface": "adyen", "method": "card", "name": {"en": "Card"}},
            "paymentStatus": {"interfaceCode": "201", "interfaceText": "ok"},
            "customer": {"typeId": "customer", "id": "c-1"},
            "custom": {"type": {"typeId": "type", "key": "t"}, "fields": {"rate": 1.50}},
            "interfaceInteractions": [{"type": {"typeId": "type", "key": "t"}, "fields": {}}],
            "transactions": [{
                "id": null, "type": "Authorization", "state": "Success", "interactionId": "i-1", "interfaceId": "f-1",
                "timestamp": "2026-11-22T09:00:00.000Z",
                "amount": {"type": "centPrecision", "currencyCode": "BHD", "centAmount": 12345, "fractionDigits": 3}
            }],
        })
    );
    assert_eq!(server.payment("order-1").await, created.body);
    let again = server.send("POST", "/demo/payments", &[JSON], draft.to_string()).await;
    let expected = json!({"code": "DuplicateField", "field": "id", "duplicateValue": "order-1"});
    assert_eq!((again.status, again.error()), (400, expected));
    assert_eq!(server.get("/other/payments/order-1").await.status, 404);
}

#[tokio::test]
async fn an_invalid_draft_is_refused_with_the_reason() {
    let server = Server::start().await;
    let planned = json!({"currencyCode": "EUR", "centAmount": 100});
    let past = |kind: &str, cents: i64, code: &str| json!({"type": kind, "state": "Success", "amount": {"currencyCode": code, "centAmount": cents}});
    let draft =
        |transactions: Vec<Value>| json!({"amountPlanned": planned, "transactions": transactions});
    for (draft, code, field) in [
        (json!({}), "RequiredField", Some("amountPlanned")),
        (
            json!({"amountPlanned": {"currencyCode": "QQQ", "centAmount": 1}}),
            "InvalidField",
            Some("amountPlanned.currencyCode"),
        ),
        (
            json!({"amountPlanned": {"currencyCode": "HRK", "centAmount": 1}}),
            "InvalidField",
            Some("amountPlanned.currencyCode"),
        ),
        (
            json!({"amountPlanned": {"currencyCode": "EUR", "centAmount": 0.5}}),
            "InvalidField",
            Some("amountPlanned.centAmount"),
        ),
        (
            json!({"amountPlanned": {"type": "highPrecision", "currencyCode": "EUR", "centAmount": 1}}),
            "InvalidField",
            Some("amountPlanned.type"),
        ),
        (
            json!({"amountPlanned": planned, "transactions": {}}),
            "InvalidField",
            Some("transactions"),
        ),
        (json!({"amountPlanned": planned, "custom": 1}), "InvalidField", Some("custom")),
        (
            json!({"amountPlanned": planned, "interfaceInteractions": [1]}),
            "InvalidField",
            Some("interfaceInteractions"),
        ),
        (draft(vec![past("Gift", 1, "EUR")]), "InvalidField", Some("transactions[0].type")),
        (
            draft(vec![past("Charge", 0, "EUR")]),
            "InvalidField",
            Some("transactions[0].amount.centAmount"),
        ),
        (draft(vec![past("Authorization", 100, "USD")]), "InvalidOperation", None),
        (
            draft(vec![past("Authorization", 100, "EUR"), past("Charge", 101, "EUR")]),
            "InvalidOperation",
            None,
        ),
        (
            draft(vec![past("Charge", 100, "EUR"), past("Refund", 101, "EUR")]),
            "InvalidOperation",
            None,
        ),
    ] {
        let reply = server.send("POST", "/demo/payments", &[JSON], draft.to_string()).await;
        assert_eq!(reply.outcome(), (400, code), "{draft} {:?}", reply.body);
        assert_eq!(reply.body["errors"][0]["field"].as_str(), field, "{draft}");
    }
}

#[tokio::test]
async fn payments_of_a_file_replace_the_demo_payments() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payments.json");
    let draft = json!([{
        "id": "mine",
        "amountPlanned": {"currencyCode": "CHF", "centAmount": 500},
        "transactions": [{"type": "Authorization", "state": "Success", "amount": {"currencyCode": "CHF", "centAmount": 500}}]
    }]);
    std::fs::write(&file, draft.to_string()).unwrap();
    let server = Server::with(&["--payments", file.to_str().unwrap()], &[]).await;
    let captured = server.act("mine", amount("capturePayment", 500, "CHF"), &[]).await;
    assert_eq!(captured.status, 200);
    assert_eq!(server.get(&format!("/demo/payments/{AUTHORIZED}")).await.status, 404);
}

/// A connector under development can use this server as its token service.
#[tokio::test]
async fn while_authorization_is_off_every_client_gets_a_token() {
    let server = Server::start().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let granted = server.send("POST", "/oauth/token", &form, "grant_type=client_credentials").await;
    assert_eq!(granted.status, 200);
    assert_eq!(granted.body["token_type"], "Bearer");
    let token = format!("token={}", granted.body["access_token"].as_str().unwrap());
    let introspected = server.send("POST", "/oauth/introspect", &form, token).await;
    assert_eq!(introspected.body["active"], true);
    assert_eq!(introspected.body["scope"], granted.body["scope"]);
    let jwks = ("AUTH_JWKS_URL", "http://127.0.0.1:9/keys");
    let jwt = [("AUTH", "jwt"), ("AUTH_ISSUER", "i"), ("AUTH_AUDIENCE", "a"), jwks];
    let closed = Server::with(&[], &jwt).await;
    for path in ["/oauth/token", "/oauth/introspect"] {
        assert_eq!(closed.send("POST", path, &form, "").await.status, 404, "{path}");
    }
}
