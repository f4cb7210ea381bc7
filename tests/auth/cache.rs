//! The time for which an answer of the token service is cached.

use crate::identity::{Identity, Reply, Role};
use crate::in_process::{HOUR, INVALID, InProcessAuth, MINUTE, OK, UNAVAILABLE, start};
use crate::issuer::ALL;
use serde_json::{Value, json};

/// The answers about a token at these times, and the number of introspections up to each.
async fn check_at(says: Value, moments: &[(u64, &str, usize)]) {
    let identity = Identity::start().await;
    let in_process = InProcessAuth::introspection(&identity);
    identity.grant("token", says.clone());
    for (ms, expected, requests) in moments {
        assert_eq!(
            in_process.at(start().plus_ms(*ms), "token").await,
            *expected,
            "{says}: {ms} ms"
        );
        assert_eq!(identity.received(Role::Introspection).len(), *requests, "{says}: {ms} ms");
    }
}

fn active(exp: impl Into<Value>) -> Value {
    json!({"active": true, "scope": ALL, "exp": exp.into()})
}

#[tokio::test]
async fn a_positive_answer_is_cached_for_a_minute() {
    let moments =
        [(0, OK, 1), (1, OK, 1), (MINUTE - 1, OK, 1), (MINUTE, OK, 2), (2 * MINUTE - 1, OK, 2)];
    check_at(active(Value::Null), &moments).await;
    check_at(json!({"active": true, "scope": ALL}), &moments).await;
    let end = start().plus_ms(HOUR).ms();
    check_at(active(end / 1_000), &moments).await;
    check_at(active(end), &moments).await;
}

/// From then on the token service decides, within the difference that clocks may have.
#[tokio::test]
async fn a_cached_answer_expires_with_its_token() {
    let end = start().plus_ms(20_000).ms();
    let moments = [
        (19_999, OK, 1),
        (20_000, OK, 2),
        (20_001, OK, 3),
        (80_000, OK, 4),
        (80_001, INVALID, 5),
        (80_002, INVALID, 6),
    ];
    for says in [active(end / 1_000), active(end)] {
        check_at(says, &moments).await;
    }
    // The cached answer ends exactly at `exp`, where the service gives one.
    check_at(active(end + 1), &[(20_000, OK, 1), (20_001, OK, 2)]).await;
}

#[tokio::test]
async fn a_revoked_token_is_refused_within_a_minute() {
    let identity = Identity::start().await;
    let in_process = InProcessAuth::introspection(&identity);
    identity.grant("token", active(Value::Null));
    assert_eq!(in_process.at(start(), "token").await, OK);
    identity.grant("token", json!({"active": false}));
    for (ms, expected) in [(MINUTE - 1, OK), (MINUTE, INVALID), (MINUTE + 1, INVALID)] {
        assert_eq!(in_process.at(start().plus_ms(ms), "token").await, expected, "{ms} ms");
    }
    // An expired cached answer is not used during an outage either.
    identity.grant("token", active(Value::Null));
    assert_eq!(in_process.at(start().plus_ms(2 * MINUTE), "token").await, OK);
    identity.usually(Role::Introspection, Reply::Says(500, "{}".to_owned()));
    for (ms, expected) in [(3 * MINUTE - 1, OK), (3 * MINUTE, UNAVAILABLE)] {
        assert_eq!(in_process.at(start().plus_ms(ms), "token").await, expected, "{ms} ms");
    }
}

#[tokio::test]
async fn a_negative_answer_is_not_cached() {
    let identity = Identity::start().await;
    let in_process = InProcessAuth::introspection(&identity);
    for says in [
        json!({"active": false}),
        active(start().ms() / 1_000 - 61),
        json!({"active": true, "scope": ALL, "nbf": start().ms() / 1_000 + 61}),
    ] {
        let requests = identity.received(Role::Introspection).len();
        for number in 1..=3 {
            identity.grant("token", says.clone());
            assert_eq!(in_process.at(start(), "token").await, INVALID, "{says}");
            assert_eq!(identity.received(Role::Introspection).len(), requests + number, "{says}");
        }
    }
    identity.grant("token", active(Value::Null));
    assert_eq!(in_process.at(start(), "token").await, OK);
}

/// The cache keeps the scopes of a token, not the decision about one request.
#[tokio::test]
async fn a_cached_answer_grants_only_the_scopes_of_the_token() {
    let identity = Identity::start().await;
    let in_process = InProcessAuth::introspection(&identity);
    identity.grant("token", json!({"active": true, "scope": "view_payments:demo"}));
    for _ in 0..2 {
        assert_eq!(in_process.at(start(), "token").await, "missing scope");
    }
    assert_eq!(identity.received(Role::Introspection).len(), 1);
}
