//! Opaque tokens, sent to the Lambda.

use crate::identity::record::secret;
use crate::identity::{Identity, Reply, Role};
use crate::issuer::{ALL, seconds, with_value, without_value};
use crate::service::{TokenService, active, basic};
use crate::stage::{Stage, with_token};
use crate::support::lambda::events::act;
use crate::support::{AUTHORIZED, capture};
use serde_json::{Value, json};
use std::time::Instant;

fn introspections(service: &TokenService) -> usize {
    service.identity.received(Role::Introspection).len()
}

#[tokio::test]
async fn the_introspection_request_follows_rfc_7662() {
    let service = TokenService::start().await;
    let stage = Stage::start(service.variables()).await;
    let tokens = [service.grant(ALL), secret("a-._~+/b") + "=="];
    service.identity.grant(&tokens[1], active(ALL));
    for token in &tokens {
        assert_eq!(stage.capture(token).await.status, 200);
    }
    for (request, token) in service.identity.received(Role::Introspection).iter().zip(&tokens) {
        assert_eq!(request.uri, "/introspect");
        assert_eq!(request.header("host"), service.identity.address.to_string());
        assert_eq!(request.header("content-type"), "application/x-www-form-urlencoded");
        assert_eq!(request.header("accept"), "application/json");
        assert_eq!(request.header("content-length"), request.body.len().to_string());
        let client = (service.client_id.clone(), service.client_secret.clone());
        assert_eq!(basic(request.header("authorization")), client);
        let hint = ("token_type_hint".to_owned(), "access_token".to_owned());
        assert_eq!(request.form(), [("token".to_owned(), token.clone()), hint]);
        // The text has no character that form encoding changes.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"%=&-._~".contains(&byte);
        assert!(request.body.bytes().all(plain), "{}", request.body);
    }
    assert_eq!(introspections(&service), 2);
}

#[tokio::test]
async fn a_positive_answer_is_cached_and_a_negative_one_is_not() {
    let service = TokenService::start().await;
    let stage = Stage::start(service.variables()).await;
    let (good, unknown) = (service.grant(ALL), secret("unknown"));
    for _ in 0..3 {
        assert_eq!(stage.capture(&good).await.status, 200);
    }
    assert_eq!(introspections(&service), 1);
    for number in 1..=3 {
        let reply = stage.capture(&unknown).await;
        assert_eq!(reply.outcome(), (401, "invalid_token"), "{reply:?}");
        assert_eq!(introspections(&service), 1 + number);
    }
    service.identity.grant(&unknown, active(ALL));
    assert_eq!(stage.capture(&unknown).await.status, 200);
    assert_eq!(stage.effects(), 4);
}

/// The cache key is the whole token.
#[tokio::test]
async fn a_cached_answer_is_not_used_for_a_similar_token() {
    let service = TokenService::start().await;
    let stage = Stage::start(service.variables()).await;
    let good = service.grant(ALL);
    assert_eq!(stage.capture(&good).await.status, 200);
    for other in [good.to_uppercase(), format!("{good}="), good[1..].to_owned()] {
        assert_eq!(stage.capture(&other).await.outcome(), (401, "invalid_token"), "{other}");
    }
    assert_eq!((introspections(&service), stage.effects()), (4, 1));
}

#[tokio::test]
async fn the_introspection_answer_decides_on_access() {
    let service = TokenService::start().await;
    let stage = Stage::start(service.variables()).await;
    let says = |name: &str, value: Value| with_value(active(ALL), name, value);
    let ms = |seconds: u64| json!(seconds * 1_000);
    const OK: (u16, &str) = (200, "");
    const INVALID: (u16, &str) = (401, "invalid_token");
    const DENIED: (u16, &str) = (403, "insufficient_scope");
    const UNKNOWN: (u16, &str) = (503, "ServiceUnavailable");
    let rows = [
        (active(ALL), OK),
        (json!({"active": true, "scope": ALL}), OK),
        (says("exp", ms(seconds() + 3_600)), OK),
        (says("exp", Value::Null), OK),
        (says("exp", json!(seconds() - 50)), OK),
        (says("exp", json!(seconds() - 65)), INVALID),
        (says("exp", ms(seconds() - 65)), INVALID),
        (says("exp", json!(0)), INVALID),
        (says("nbf", json!(seconds() + 50)), OK),
        (says("nbf", json!(seconds() + 65)), INVALID),
        (says("active", json!(false)), INVALID),
        (json!({"active": false}), INVALID),
        (without_value(active(ALL), "scope"), DENIED),
        (active(""), DENIED),
        (active("view_payments:demo"), DENIED),
        // An answer that cannot be read counts neither as active nor as inactive.
        (without_value(active(ALL), "active"), UNKNOWN),
        (says("active", json!("true")), UNKNOWN),
        (says("active", json!(1)), UNKNOWN),
        (says("scope", json!([ALL])), UNKNOWN),
        (says("exp", json!("tomorrow")), UNKNOWN),
        (says("exp", json!(-1)), UNKNOWN),
        (says("nbf", json!(-1)), UNKNOWN),
    ];
    for (says, expected) in &rows {
        let reply = stage.capture(&service.token(says.clone())).await;
        assert_eq!(reply.outcome(), *expected, "{says}: {reply:?}");
    }
    assert_eq!(stage.effects(), rows.iter().filter(|(_, expected)| *expected == OK).count());
}

#[tokio::test]
async fn without_an_introspection_answer_nothing_is_done_and_the_caller_may_retry() {
    let (service, other) = (TokenService::start().await, Identity::start().await);
    let stage = Stage::start(service.variables()).await;
    let token = service.grant(ALL);
    let event = with_token(&token, act(AUTHORIZED, capture(1)));
    let good = active(ALL).to_string();
    let long = format!("{good}{}", " ".repeat(64 * 1024));
    let says = |body: &str| Reply::Says(200, body.to_owned());
    for reply in [
        Reply::Silence,
        Reply::Drop,
        Reply::Redirect(service.identity.url("/elsewhere")),
        Reply::Redirect(other.url("/introspect")),
        Reply::Says(400, good.clone()),
        Reply::Says(401, good.clone()),
        Reply::Says(403, json!({"active": false}).to_string()),
        Reply::Says(500, good.clone()),
        Reply::Says(503, String::new()),
        says(""),
        says("<html>It works!</html>"),
        says("{}"),
        says("[]"),
        says("true"),
        says(&good[..good.len() - 1]),
        says(&format!("{good}{good}")),
        says(&long),
    ] {
        service.identity.next(Role::Introspection, reply.clone());
        let began = Instant::now();
        let answer = stage.invoke(&event).await;
        let took_ms = began.elapsed().as_millis();
        let reply = format!("{reply:?}");
        assert_eq!(answer.outcome(), (503, "ServiceUnavailable"), "{reply}: {answer:?}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{reply}");
        assert_eq!(answer.header("www-authenticate"), None, "{reply}");
        let possible_ms = if reply == "Silence" { 1_900..3_500 } else { 0..1_500 };
        assert!(possible_ms.contains(&took_ms), "{reply}: {took_ms} ms");
        assert_eq!(stage.dynamodb.calls(), [""; 0], "{reply}");
    }
    assert_eq!(stage.effects(), 0);
    for elsewhere in [&service.identity, &other] {
        assert!(elsewhere.received(Role::Elsewhere).is_empty());
    }
    assert!(other.received(Role::Introspection).is_empty());
    // The token itself was valid.
    let longest = format!("{good}{}", " ".repeat(64 * 1024 - good.len()));
    service.identity.next(Role::Introspection, says(&longest));
    assert_eq!(stage.invoke(&event).await.status, 200);
}

#[tokio::test]
async fn malformed_tokens_are_refused_without_introspection() {
    let service = TokenService::start().await;
    let stage = Stage::start(service.variables()).await;
    let long = "a".repeat(8 * 1024);
    for token in
        ["a b", "a,b", "a\"b", "a=b", "==", "{}", "<a>", "a&token=b", &(long.clone() + "a")]
    {
        let reply = stage.capture(token).await;
        assert_eq!(reply.outcome(), (401, "invalid_token"), "{token}: {reply:?}");
    }
    assert_eq!(introspections(&service), 0);
    service.identity.grant(&long, active(ALL));
    assert_eq!(stage.capture(&long).await.status, 200);
}
