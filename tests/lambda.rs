//! The built binary under an emulated Runtime API: events of API Gateway, its answers, and
//! the effects at the sandbox PSP.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]
#![allow(unreachable_pub, reason = "the modules belong to one suite")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::lambda::events::{act, authorized_as, event, header, with};
use support::lambda::panicking::{self, PANICKING_AMOUNT};
use support::lambda::{Lambda, run_api_to_exit};
use support::{AUTHORIZED, AUTHORIZED_JPY, CAPTURED, amount, capture, refund, with_reference};

/// The events run in this order on one ledger. A refused event has no effect, and a
/// successful action has exactly one.
#[tokio::test]
async fn each_event_is_answered_as_its_name_says() {
    let mut lambda = Lambda::start().await;
    let table = [
        ("missing-amount", 400, "RequiredField", None),
        ("two-actions", 400, "MultipleActionsNotAllowed", None),
        ("unknown-payment", 404, "ResourceNotFound", None),
        ("get-payment", 200, "", None),
        // No account at a PSP is configured there.
        ("webhook", 404, "ResourceNotFound", None),
        ("create-payment", 201, "", None),
        ("capture", 200, "", Some("capturePayment 4000 EUR")),
        ("capture-rest-v1", 200, "", Some("capturePayment 2000 EUR")),
        ("capture-stage", 200, "", Some("capturePayment 1000 EUR")),
        ("capture-lambda-authorizer", 200, "", Some("capturePayment 500 EUR")),
        ("capture-rest-user-pool", 200, "", Some("capturePayment 500 EUR")),
        ("refund", 200, "", Some("refundPayment 1000 EUR")),
        ("reverse", 200, "", Some("refundPayment 9000 EUR")),
        ("cancel", 200, "", Some("cancelPayment 5000 JPY")),
    ];
    let mut effects = Vec::new();
    for (name, status, code, effect) in table {
        let reply = lambda.invoke(&event(name)).await;
        assert_eq!(reply.outcome(), (status, code), "{name}: {reply:?}");
        effects.extend(effect.map(str::to_owned));
        assert_eq!(lambda.effects(), effects, "{name}");
        assert_eq!(reply.header("x-transaction-id").is_some(), effect.is_some(), "{name}");
        if effect.is_some() {
            assert_eq!(reply.body, json!({}), "{name}");
        }
        if name == "missing-amount" {
            assert_eq!(reply.body["errors"][0]["field"], "amount");
        }
        if let Some(id) = reply.body["id"].as_str() {
            assert_eq!(lambda.payment(id).await, reply.body, "{name}");
            let transactions = lambda.transactions(id).await;
            assert_eq!(transactions, ["Authorization Success 10000"], "{name}");
        }
    }
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/events")).unwrap();
    assert_eq!(files.count(), table.len(), "an event has no row");
}

#[tokio::test]
async fn an_event_that_is_delivered_twice_moves_the_money_once() {
    let mut lambda = Lambda::start().await;
    let event = header(act(AUTHORIZED, capture(4_000)), "idempotency-key", "order-1");
    let first = lambda.invoke(&event).await;
    let second = lambda.invoke(&event).await;
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(second.header("x-transaction-id"), first.header("x-transaction-id"));
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_eq!(lambda.effects(), ["capturePayment 4000 EUR"]);
}

/// An HTTP API joins repeated headers; a REST API lists them.
#[tokio::test]
async fn a_repeated_idempotency_key_is_refused_behind_either_kind_of_api() {
    let mut lambda = Lambda::start().await;
    for event in [
        with(event("capture-rest-v1"), "/multiValueHeaders/Idempotency-Key", json!(["a", "a"])),
        header(event("capture"), "idempotency-key", "a,a"),
    ] {
        let reply = lambda.invoke(&event).await;
        assert_eq!(reply.outcome(), (400, "InvalidField"), "{reply:?}");
    }
    assert!(lambda.effects().is_empty());
}

/// The connector panics, after the amount was reserved and before the outcome is written.
#[tokio::test]
async fn a_panic_is_answered_with_500_keeps_the_hold_and_does_not_end_the_process() {
    if panicking::is_this_process() {
        return panicking::serve().await;
    }
    let this = "a_panic_is_answered_with_500_keeps_the_hold_and_does_not_end_the_process";
    let mut lambda = Lambda::of(&panicking::program(this), &[]).await;
    let process = lambda.pid();
    assert!(process.is_some());
    for (payment, action, held) in [
        (AUTHORIZED, capture(PANICKING_AMOUNT), "Charge Initial 1313"),
        (CAPTURED, refund(PANICKING_AMOUNT), "Refund Initial 1313"),
        (AUTHORIZED_JPY, amount("capturePayment", PANICKING_AMOUNT, "JPY"), "Charge Initial 1313"),
    ] {
        let event = header(act(payment, action), "x-correlation-id", "order-1001/1");
        let reply = lambda.invoke(&event).await;
        assert_eq!(reply.outcome(), (500, "General"), "{reply:?}");
        assert_eq!(reply.header("x-correlation-id"), Some("order-1001/1"));
        assert_eq!(lambda.transactions(payment).await.last().unwrap(), held);
    }
    assert!(lambda.effects().is_empty());
    let transactions = json!([{
        "type": "Authorization", "state": "Success",
        "amount": {"centAmount": 1_000, "currencyCode": "EUR"},
    }]);
    let planned = json!({"centAmount": 1_000, "currencyCode": "EUR"});
    let draft = json!({"id": "next", "amountPlanned": planned, "transactions": transactions});
    lambda.register("demo", draft).await;
    assert_eq!(lambda.invoke(&act("next", capture(1_000))).await.status, 200);
    assert_eq!(lambda.effects(), ["capturePayment 1000 EUR"]);
    assert_eq!(lambda.pid(), process);
}

/// 4 s are kept for settling, and a call is not begun with less than 1 s.
#[tokio::test]
async fn with_too_little_time_left_the_connector_is_not_called_and_nothing_is_held() {
    let mut lambda = Lambda::start().await;
    for left_ms in [4_900, 1_000, 0] {
        let reply = lambda.invoke_within(left_ms, &act(AUTHORIZED, capture(10_000))).await;
        assert_eq!(reply.outcome(), (503, "ServiceUnavailable"), "{left_ms} ms: {reply:?}");
        assert_eq!(reply.header("retry-after"), Some("1"));
        let transactions = lambda.transactions(AUTHORIZED).await;
        assert_eq!(transactions, ["Authorization Success 10000"], "{left_ms} ms");
    }
    assert!(lambda.effects().is_empty());
    assert_eq!(lambda.invoke(&act(AUTHORIZED, capture(10_000))).await.status, 200);
    assert_eq!(lambda.effects(), ["capturePayment 10000 EUR"]);
}

#[tokio::test]
async fn a_connector_silent_until_the_deadline_keeps_the_hold_and_is_answered_in_time() {
    let mut lambda = Lambda::start().await;
    let event = act(AUTHORIZED, with_reference(capture(4_000), "sandbox:timeout"));
    let began = Instant::now();
    let reply = lambda.invoke_within(6_500, &event).await;
    assert!(began.elapsed() < Duration::from_millis(6_500), "{:?}", began.elapsed());
    assert_eq!(reply.outcome(), (500, "General"), "{reply:?}");
    let transactions = lambda.transactions(AUTHORIZED).await;
    assert_eq!(transactions, ["Authorization Success 10000", "Charge Initial 4000"]);
    let payment = lambda.payment(AUTHORIZED).await;
    assert_eq!(reply.header("x-transaction-id"), payment["transactions"][1]["id"].as_str());
    let too_much = lambda.invoke(&act(AUTHORIZED, capture(6_001))).await;
    assert_eq!(too_much.outcome(), (400, "InvalidOperation"));
    assert_eq!(lambda.invoke(&act(AUTHORIZED, capture(6_000))).await.status, 200);
    assert_eq!(lambda.effects(), ["capturePayment 4000 EUR", "capturePayment 6000 EUR"]);
}

#[tokio::test]
async fn events_of_other_sources_are_answered_with_400() {
    let mut lambda = Lambda::start().await;
    let get = || event("get-payment");
    let deep = (0..500).fold(json!({}), |inside, _| json!([inside]));
    for event in [
        json!({}),
        json!([]),
        json!("x"),
        json!(null),
        json!({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}),
        json!({"requestContext": {}}),
        json!({"requestContext": null, "rawPath": "/demo/payments"}),
        json!({"requestContext": {"http": {"method": "GET"}}}),
        with(get(), "/requestContext/http/method", "not a method"),
        with(get(), "/requestContext/http", 7),
        with(get(), "/rawPath", 7),
        with(get(), "/headers", 7),
        with(get(), "/isBase64Encoded", "yes"),
        authorized_as(get(), deep),
    ] {
        let reply = lambda.invoke(&event).await;
        assert_eq!(reply.outcome(), (400, "InvalidJsonInput"), "{event}: {reply:?}");
    }
    let surrogate = get().to_string().replace("curl/8.16.0", r"\ud800");
    let reply = lambda.deliver(20_000, surrogate).await.unwrap();
    assert_eq!(reply.outcome(), (400, "InvalidJsonInput"), "{reply:?}");
    // Lambda never delivers invalid JSON. The runtime reports it as an error.
    lambda.deliver(20_000, r#"{"rawPath": "#.to_owned()).await.unwrap_err();
    assert_eq!(lambda.invoke(&get()).await.status, 200);
}

/// One cent each, so that the effects count the events that passed.
#[tokio::test]
async fn invalid_headers_are_harmless() {
    let mut lambda = Lambda::start().await;
    let one = || act(AUTHORIZED, capture(1));
    let rest = || with(event("capture-rest-v1"), "/body", one()["body"].clone());
    let events = [
        header(one(), "host", "[::bad"),
        header(one(), "host", "a b/c"),
        header(one(), "host", "\u{0}"),
        header(one(), "host", ""),
        header(one(), "bad name", "x"),
        header(one(), "ключ", "x"),
        header(one(), "", "x"),
        header(one(), "x-value", "a\r\nx-injected: b"),
        header(one(), "x-value", "ключ"),
        header(one(), "x-correlation-id", "a\r\nx-injected: b"),
        header(one(), "x-correlation-id", "ключ"),
        with(one(), "/headers", Value::Null),
        with(rest(), "/multiValueHeaders/Host", json!(["[::bad", "a b/c"])),
        with(rest(), "/multiValueHeaders/bad name", json!(["x"])),
        with(rest(), "/multiValueHeaders/X-Value", json!([])),
        with(rest(), "/multiValueHeaders", Value::Null),
        with(with(rest(), "/headers", Value::Null), "/multiValueHeaders", Value::Null),
    ];
    for event in &events {
        let reply = lambda.invoke(event).await;
        assert_eq!(reply.status, 200, "{event}: {reply:?}");
        assert_eq!(reply.header("x-injected"), None);
    }
    assert_eq!(lambda.effects(), vec!["capturePayment 1 EUR"; events.len()]);
}

/// Without the mapping, `lambda_http` would panic on these events or lose a header.
#[tokio::test]
async fn events_that_lambda_http_cannot_read_are_answered() {
    let mut lambda = Lambda::start().await;
    let rest = |path: &str| with(event("capture-rest-v1"), "/path", path);
    let http = |path: &str| with(event("get-payment"), "/rawPath", path);
    let long = format!("/demo/payments/{}", "x".repeat(70_000));
    let no_value = json!({"where": []});
    for (event, expected) in [
        (http(":bad"), (404, "ResourceNotFound")),
        (http("@[::/demo"), (404, "ResourceNotFound")),
        (http("/demo/pay ments\"<>^`{|}\u{7f}é"), (404, "ResourceNotFound")),
        (http(&long), (400, "InvalidJsonInput")),
        (rest(":bad"), (404, "ResourceNotFound")),
        (rest(&long), (400, "InvalidJsonInput")),
        (with(event("get-payment"), "/rawPath", Value::Null), (400, "InvalidJsonInput")),
        (
            with(event("capture-rest-v1"), "/multiValueQueryStringParameters", no_value),
            (400, "InvalidJsonInput"),
        ),
        (with(event("get-payment"), "/requestContext/domainName", "[::bad"), (200, "")),
        (header(event("get-payment"), "x-forwarded-proto", "http, https"), (200, "")),
        (header(event("get-payment"), "x-forwarded-proto", ""), (200, "")),
        (with(event("get-payment"), "/rawQueryString", "a=\"<>|^ \u{1}é%&#=%zz"), (200, "")),
        (with(event("get-payment"), "/requestContext/stage", "a b/../\u{0}"), (200, "")),
    ] {
        let reply = lambda.invoke(&event).await;
        assert_eq!(reply.outcome(), expected, "{event}: {reply:?}");
    }
    assert!(lambda.effects().is_empty());
}

/// The token is ambiguous, so neither one counts.
#[tokio::test]
async fn a_repeated_authorization_is_refused_behind_either_kind_of_api() {
    let mut lambda = Lambda::start().await;
    let rest = || event("capture-rest-v1");
    let without_lists = with(rest(), "/multiValueHeaders", Value::Null);
    for event in [
        with(rest(), "/multiValueHeaders/Authorization", json!(["Bearer a", "Bearer b"])),
        with(rest(), "/multiValueHeaders/authorization", json!(["Bearer b"])),
        header(without_lists, "authorization", "Bearer b"),
        header(event("capture"), "Authorization", "Bearer b"),
    ] {
        let reply = lambda.invoke(&event).await;
        assert_eq!(reply.outcome(), (401, "invalid_token"), "{event}: {reply:?}");
    }
    assert!(lambda.effects().is_empty());
}

/// An HTTP API passes the query on as it was sent; a REST API decodes it.
#[tokio::test]
async fn a_query_is_read_behind_either_kind_of_api() {
    let mut lambda = Lambda::start().await;
    let amount = json!({"centAmount": 10_000, "currencyCode": "EUR"});
    let draft = json!({"id": "queried", "amountPlanned": amount, "interfaceId": "PSP ü+1"});
    lambda.register("demo", draft).await;
    let http = |query: &str| {
        let event = with(event("get-payment"), "/rawPath", "/demo/payments");
        with(event, "/rawQueryString", query)
    };
    let rest = |name: &str, parameters: Value| {
        let event = with(event("capture-rest-v1"), "/path", "/demo/payments");
        let event = with(event, "/httpMethod", "GET");
        with(event, &format!("/{name}"), parameters)
    };
    const PREDICATE: &str = r#"interfaceId = "PSP ü+1""#;
    for (event, found) in [
        (http("where=interfaceId+%3D+%22PSP+%C3%BC%2B1%22&limit=1"), Some(1)),
        (http(r#"limit=1&where=interfaceId="PSP ü%2B1""#), Some(1)),
        (http("where=interfaceId%3D%22PSP%22"), Some(0)),
        (http("where=interfaceId%3D%22a%22&where=interfaceId%3D%22a%22"), None),
        (http(""), None),
        (rest("queryStringParameters", json!({"where": PREDICATE, "limit": "1"})), Some(1)),
        (rest("multiValueQueryStringParameters", json!({"where": [PREDICATE]})), Some(1)),
        (rest("multiValueQueryStringParameters", json!({"where": [PREDICATE, "a"]})), None),
        (rest("queryStringParameters", json!({})), None),
    ] {
        let reply = lambda.invoke(&event).await;
        assert_eq!(reply.body["count"].as_u64(), found, "{event}: {reply:?}");
        assert_eq!(reply.status, if found.is_some() { 200 } else { 400 }, "{event}: {reply:?}");
    }
}

#[tokio::test]
async fn a_body_is_decoded_where_the_event_marks_it_as_base64() {
    let mut lambda = Lambda::start().await;
    let plain = act(CAPTURED, refund(1))["body"].as_str().unwrap().to_owned();
    let encoded = BASE64.encode(&plain);
    const NOT_BASE64: &str = "the body is not valid base64";
    for (body, is_encoded, status, detail) in [
        (plain.as_str(), false, 200, ""),
        (encoded.as_str(), true, 200, ""),
        (plain.as_str(), true, 400, NOT_BASE64),
        ("%%%", true, 400, NOT_BASE64),
        (encoded.as_str(), false, 400, "expected"),
        ("//79", true, 400, "utf-8"),
        ("", true, 400, "EOF"),
        ("", false, 400, "EOF"),
    ] {
        let event = with(act(CAPTURED, refund(1)), "/body", body);
        let reply = lambda.invoke(&with(event, "/isBase64Encoded", is_encoded)).await;
        let code = if status == 200 { "" } else { "InvalidJsonInput" };
        assert_eq!(reply.outcome(), (status, code), "{body:?} {is_encoded}: {reply:?}");
        let said = reply.body["errors"][0]["detailedErrorMessage"].as_str().unwrap_or("");
        assert!(said.contains(detail), "{body:?} {is_encoded}: {said}");
    }
    assert_eq!(lambda.effects(), ["refundPayment 1 EUR"; 2]);
}

#[tokio::test]
async fn the_raw_path_names_the_payment_with_and_without_a_stage() {
    let mut lambda = Lambda::start().await;
    for (stage, path, status) in [
        ("$default", "/demo/payments/{id}", 200),
        ("prod", "/demo/payments/{id}", 200),
        ("prod", "/prod/demo/payments/{id}", 200),
        ("demo", "/demo/payments/{id}", 200),
        ("demo", "/demo/demo/payments/{id}", 200),
        ("$default", "/demo/payments/%31{id-1}", 200),
        ("$default", "/prod/demo/payments/{id}", 404),
        ("prod", "/test/demo/payments/{id}", 404),
        ("$default", "/acme/../demo/payments/{id}", 404),
        ("acme", "/acme/../demo/payments/{id}", 404),
        ("$default", "/demo/payments/../payments/{id}", 404),
        ("$default", "/demo/payments/..", 404),
        ("$default", "/demo/payments/%2e%2e", 404),
        ("$default", "/demo%2Fpayments/{id}", 404),
        ("$default", "/demo/payments%2F{id}", 404),
        ("$default", "/demo/payments/x%2F{id}", 404),
        ("$default", "/demo/payments/{id}%00", 404),
        ("$default", "/demo/payments/{id}/", 404),
        ("$default", "//demo/payments/{id}", 404),
        ("$default", "demo/payments/{id}", 404),
        ("$default", "", 404),
    ] {
        let raw_path = path.replace("{id}", AUTHORIZED).replace("{id-1}", &AUTHORIZED[1..]);
        let event = with(event("get-payment"), "/rawPath", raw_path);
        let reply = lambda.invoke(&with(event, "/requestContext/stage", stage)).await;
        assert_eq!(reply.status, status, "{path} of {stage:?}: {reply:?}");
    }
}

#[tokio::test]
async fn without_a_verified_token_the_answer_is_401() {
    let mut lambda = Lambda::start().await;
    for authorizer in [json!(null), json!({}), json!([]), json!("manage_project:demo"), json!(7)] {
        let event = authorized_as(act(AUTHORIZED, capture(1_000)), authorizer);
        let reply = lambda.invoke(&event).await;
        assert_eq!(reply.outcome(), (401, "access_denied"), "{event}: {reply:?}");
        assert_eq!(reply.body["error"], "access_denied");
        assert_eq!(reply.body["error_description"], reply.body["message"]);
        assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer "), "{reply:?}");
    }
    assert!(lambda.effects().is_empty());
}

/// The scope is read from a JWT authorizer, from a Lambda authorizer of an HTTP API and of
/// a REST API, and from a user pool.
#[tokio::test]
async fn a_scope_allows_its_own_project_only() {
    let mut lambda = Lambda::start().await;
    let scope = |project| format!("manage_checkout_payment_intents:{project}");
    const DENIED: (u16, &str) = (403, "insufficient_scope");
    for (project, expected) in [("demo", (200, "")), ("acme", DENIED), ("demo2", DENIED)] {
        for (name, authorizer) in [
            ("capture", json!({"jwt": {"claims": {"scope": scope(project)}, "scopes": null}})),
            ("capture", json!({"lambda": {"scope": scope(project)}})),
            ("capture-rest-v1", json!({"scope": scope(project), "principalId": "demo-shop"})),
            ("capture-rest-v1", json!({"claims": {"scope": scope(project)}})),
        ] {
            let event = with(event(name), "/body", act(AUTHORIZED, capture(1))["body"].clone());
            let reply = lambda.invoke(&authorized_as(event, authorizer.clone())).await;
            assert_eq!(reply.outcome(), expected, "{authorizer}: {reply:?}");
            assert!(!reply.body.to_string().contains(project), "{reply:?}");
            assert!(!reply.body.to_string().contains("demo"), "{reply:?}");
        }
    }
    assert_eq!(lambda.effects(), ["capturePayment 1 EUR"; 4]);
}

#[tokio::test]
async fn a_token_without_valid_scopes_grants_none() {
    let mut lambda = Lambda::start().await;
    for authorizer in [
        json!({"jwt": {"claims": {"scope": 7}}}),
        json!({"jwt": {"claims": {"scope": ["manage_project:demo"]}}}),
        json!({"jwt": "manage_project:demo"}),
        json!({"lambda": null}),
        json!({"principalId": "demo-shop"}),
        json!({"scope": "manage_project:"}),
        json!({"scope": "manage_project"}),
        json!({"scope": "view_payments:demo manage_payments:demo"}),
    ] {
        let event = authorized_as(act(AUTHORIZED, capture(1_000)), authorizer);
        let reply = lambda.invoke(&event).await;
        assert_eq!(reply.outcome(), (403, "insufficient_scope"), "{event}: {reply:?}");
        assert_eq!(reply.body["error"], "insufficient_scope");
    }
    assert!(lambda.effects().is_empty());
}

#[tokio::test]
async fn a_payment_of_another_project_is_answered_like_one_that_does_not_exist() {
    let mut lambda = Lambda::start().await;
    let amount = json!({"centAmount": 10_000, "currencyCode": "EUR"});
    let authorization = json!({"type": "Authorization", "state": "Success", "amount": amount});
    let draft = json!({"id": "theirs", "amountPlanned": amount, "transactions": [authorization]});
    lambda.register("acme", draft).await;
    let get = |id: &str| with(event("get-payment"), "/rawPath", format!("/demo/payments/{id}"));
    let take = |id: &str| act(id, capture(1_000));
    for (foreign, unknown) in [(get("theirs"), get("absent")), (take("theirs"), take("absent"))] {
        let mut foreign = lambda.invoke(&header(foreign, "x-correlation-id", "a")).await;
        let unknown = lambda.invoke(&header(unknown, "x-correlation-id", "a")).await;
        foreign.body = foreign.body.to_string().replace("theirs", "absent").parse().unwrap();
        assert_eq!(foreign.outcome(), (404, "ResourceNotFound"));
        assert_eq!(foreign, unknown);
    }
    assert!(lambda.effects().is_empty());
}

#[tokio::test]
async fn all_configuration_errors_are_named_at_once() {
    let good = [("PAYMENTS_TABLE", "payments"), ("CONNECTORS", r#"{"*":{"url":"https://x"}}"#)];
    let bad = [("CONNECTORS", "{}"), ("AUTH", "none"), ("RESPONSE", "full")];
    for (variables, named, unnamed) in [
        (vec![], vec!["PAYMENTS_TABLE", "CONNECTORS", "AUTH"], vec!["AWS_", "RESPONSE"]),
        (
            bad.to_vec(),
            vec!["PAYMENTS_TABLE", "CONNECTORS", "AUTH", "RESPONSE"],
            vec!["AWS_", "is off"],
        ),
        (
            good.into_iter().chain([("AUTH", "off")]).collect(),
            vec!["AUTH is off"],
            vec!["PAYMENTS_TABLE", "CONNECTORS"],
        ),
    ] {
        let output = run_api_to_exit(&variables).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{variables:?}: {said}");
        assert!(named.iter().all(|name| said.contains(name)), "{variables:?}: {said}");
        assert!(!unnamed.iter().any(|name| said.contains(name)), "{variables:?}: {said}");
    }
}

#[tokio::test]
async fn an_operator_can_put_the_outcome_in_the_body() {
    let mut lambda = Lambda::with(&[("RESPONSE", "outcome")]).await;
    for (reference, prefer, status, body) in [
        ("order-1", None, 200, json!({"outcome": "approved"})),
        ("sandbox:rejected", None, 200, json!({"outcome": "rejected"})),
        ("sandbox:received", None, 200, json!({"outcome": "received"})),
        ("order-2", Some("return=minimal"), 200, json!({})),
    ] {
        let event = act(AUTHORIZED, with_reference(capture(1_000), reference));
        let event = prefer.into_iter().fold(event, |event, value| header(event, "prefer", value));
        let reply = lambda.invoke(&event).await;
        assert_eq!((reply.status, &reply.body), (status, &body), "{reference}: {reply:?}");
    }
    assert_eq!(lambda.effects(), ["capturePayment 1000 EUR"; 3]);
}
