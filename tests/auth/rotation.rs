//! The issuer's keys over time: the moment and number of key requests, and the answers to
//! callers meanwhile.

use crate::identity::keys::{SigningKey, set};
use crate::identity::{Reply, Role};
use crate::in_process::{HOUR, INVALID, InProcessAuth, MINUTE, OK, UNAVAILABLE, start};
use crate::issuer::{ALL, Issuer, claims, with_value};
use futures_util::future::join_all;
use serde_json::json;
use std::time::{Duration, Instant};

/// Claims that are valid for the whole test.
fn token(key: &SigningKey) -> String {
    key.token(&with_value(claims(ALL), "exp", start().plus_ms(1_000 * HOUR).ms() / 1_000))
}

fn fetches(issuer: &Issuer) -> usize {
    issuer.identity.received(Role::Keys).len()
}

#[tokio::test]
async fn a_new_key_is_fetched_a_minute_after_the_last_key_request() {
    let (issuer, in_process) = with_keys().await;
    let new = SigningKey::es256("ec-2");
    let (old, new_token) = (token(&issuer.ec), token(&new));
    issuer.publish(&[issuer.ec.jwk(), new.jwk()]);
    for (ms, expected, fetched) in [
        (0, INVALID, 1),
        (MINUTE - 1, INVALID, 1),
        (MINUTE, OK, 2),
        (MINUTE + 1, OK, 2),
        (2 * MINUTE, OK, 2),
    ] {
        let now = start().plus_ms(ms);
        assert_eq!(in_process.at(now, &new_token).await, expected, "{ms} ms");
        assert_eq!(in_process.at(now, &old).await, OK, "{ms} ms");
        assert_eq!(fetches(&issuer), fetched, "{ms} ms");
    }
}

/// An issuer whose keys were fetched at the start.
async fn with_keys() -> (Issuer, InProcessAuth) {
    let issuer = Issuer::start().await;
    let in_process = InProcessAuth::jwt(&issuer);
    in_process.open_connections(start()).await;
    assert_eq!(fetches(&issuer), 1);
    (issuer, in_process)
}

#[tokio::test]
async fn unknown_key_ids_cause_at_most_one_key_request_a_minute() {
    let (issuer, in_process) = with_keys().await;
    let unknown = token(&SigningKey::es256("ec-2"));
    for second in 0..600 {
        let now = start().plus_ms(second * 1_000);
        assert_eq!(in_process.at(now, &unknown).await, INVALID, "{second} s");
    }
    assert_eq!(fetches(&issuer), 10);
}

#[tokio::test]
async fn keys_are_fetched_again_after_an_hour_and_a_removed_key_is_refused() {
    let (issuer, in_process) = with_keys().await;
    let (withdrawn, kept) = (token(&issuer.ec), token(&issuer.rsa));
    issuer.publish(&[issuer.rsa.jwk()]);
    for (ms, expected, fetched) in [
        (1, OK, 1),
        (HOUR - 1, OK, 1),
        (HOUR, INVALID, 2),
        (2 * HOUR - 1, INVALID, 3),
        (2 * HOUR, INVALID, 3),
    ] {
        let now = start().plus_ms(ms);
        assert_eq!(in_process.at(now, &withdrawn).await, expected, "{ms} ms");
        assert_eq!(in_process.at(now, &kept).await, OK, "{ms} ms");
        assert_eq!(fetches(&issuer), fetched, "{ms} ms");
    }
}

#[tokio::test]
async fn a_key_under_another_name_is_another_key() {
    let (issuer, in_process) = with_keys().await;
    let mut renamed = issuer.ec.jwk();
    renamed["kid"] = json!("ec-2");
    issuer.publish(&[renamed]);
    let old = token(&issuer.ec);
    let new = issuer.ec.signed(
        &with_value(issuer.ec.header(), "kid", "ec-2"),
        &with_value(claims(ALL), "exp", start().plus_ms(1_000 * HOUR).ms() / 1_000),
    );
    let later = start().plus_ms(MINUTE);
    assert_eq!((in_process.at(later, &new).await, in_process.at(later, &old).await), (OK, INVALID));
}

/// Replies of a key server that cannot be read as keys.
fn failures(issuer: &Issuer) -> Vec<Reply> {
    let mut enc = issuer.ec.jwk();
    enc["use"] = json!("enc");
    let mut signs = issuer.ec.jwk();
    signs["key_ops"] = json!(["sign"]);
    let mut other = issuer.rsa.jwk();
    other["alg"] = json!("RS512");
    let mut nameless = issuer.ec.jwk();
    nameless.as_object_mut().unwrap().remove("kid");
    let symmetric = json!({"kid": "ec-1", "kty": "oct", "alg": "HS256", "k": "c2VjcmV0LXNlY3JldA"});
    let good = set(&[issuer.ec.jwk()]);
    let says = |body: String| Reply::Says(200, body);
    vec![
        Reply::Says(500, good.clone()),
        Reply::Says(401, good.clone()),
        Reply::Says(404, "{}".to_owned()),
        Reply::Redirect(issuer.identity.url("/elsewhere")),
        Reply::Drop,
        says(String::new()),
        says("<html>".to_owned()),
        says("{}".to_owned()),
        says(json!([issuer.ec.jwk()]).to_string()),
        says(good[..good.len() - 1].to_owned()),
        says(format!("{good}{}", " ".repeat(256 * 1024))),
        says(set(&[])),
        says(set(&[enc, signs, other, nameless, symmetric, json!({}), json!(7)])),
    ]
}

#[tokio::test]
async fn without_any_keys_authorization_is_unavailable() {
    let issuer = Issuer::start().await;
    let in_process = InProcessAuth::jwt(&issuer);
    let good = token(&issuer.ec);
    for (number, reply) in failures(&issuer).into_iter().enumerate() {
        issuer.identity.usually(Role::Keys, reply.clone());
        assert_eq!(in_process.at(start(), &good).await, UNAVAILABLE, "{reply:?}");
        // Without keys there is a new request at once.
        assert_eq!(fetches(&issuer), number + 1, "{reply:?}");
    }
    assert!(issuer.identity.received(Role::Elsewhere).is_empty());
    issuer.publish(&[issuer.ec.jwk()]);
    assert_eq!(in_process.at(start(), &good).await, OK);
}

#[tokio::test]
async fn keys_are_kept_while_the_key_server_is_down() {
    for over in [MINUTE, HOUR, 20 * HOUR] {
        let (issuer, in_process) = with_keys().await;
        let (known, new) = (token(&issuer.ec), token(&SigningKey::es256("ec-2")));
        let mut now = start();
        for (number, reply) in failures(&issuer).into_iter().enumerate() {
            issuer.identity.usually(Role::Keys, reply.clone());
            now = now.plus_ms(over);
            assert_eq!(in_process.at(now, &new).await, UNAVAILABLE, "{reply:?}");
            assert_eq!(in_process.at(now, &known).await, OK, "{reply:?}");
            assert_eq!(fetches(&issuer), number + 2, "{reply:?}");
        }
        // At most one key request a minute, whether the last one failed or not.
        issuer.publish(&[issuer.rsa.jwk()]);
        assert_eq!(in_process.at(now.plus_ms(MINUTE - 1), &known).await, OK);
        assert_eq!(in_process.at(now.plus_ms(MINUTE), &new).await, INVALID);
        assert_eq!(in_process.at(now.plus_ms(MINUTE), &known).await, INVALID);
    }
}

#[tokio::test]
async fn a_hanging_key_server_delays_no_caller_past_its_deadline() {
    join_all([(20_000, 1_900, 3_000), (300, 250, 1_000), (0, 0, 200)].map(
        async |(time_ms, least_ms, most_ms)| {
            let issuer = Issuer::start().await;
            issuer.identity.usually(Role::Keys, Reply::Silence);
            let (in_process, good) = (InProcessAuth::jwt(&issuer), token(&issuer.ec));
            let (began, time) = (Instant::now(), Duration::from_millis(time_ms));
            assert_eq!(in_process.within(time, start(), &good).await, UNAVAILABLE);
            let took_ms = began.elapsed().as_millis();
            assert!((least_ms..most_ms).contains(&took_ms), "{time_ms} ms: {took_ms} ms");
        },
    ))
    .await;
}

#[tokio::test]
async fn parallel_callers_cause_one_key_request_at_a_time() {
    let issuer = Issuer::start().await;
    let keys = set(&[issuer.ec.jwk()]);
    issuer.identity.usually(Role::Keys, Reply::Late(100, 200, keys));
    let (in_process, good) = (InProcessAuth::jwt(&issuer), token(&issuer.ec));
    let unknown = token(&SigningKey::es256("ec-2"));
    let answers = join_all((0..20).map(|_| in_process.at(start(), &good))).await;
    assert_eq!(answers, [OK; 20]);
    assert_eq!(fetches(&issuer), 1);
    let later = start().plus_ms(MINUTE);
    let answers = join_all((0..20).map(|_| in_process.at(later, &unknown))).await;
    assert_eq!(answers, [INVALID; 20]);
    assert_eq!((fetches(&issuer), issuer.identity.most_simultaneous(Role::Keys)), (2, 1));
}

/// A caller does not wait again for a request that failed for another caller, nor longer
/// than its own deadline.
#[tokio::test]
async fn parallel_callers_wait_together_for_a_hanging_key_server() {
    let issuer = Issuer::start().await;
    issuer.identity.usually(Role::Keys, Reply::Silence);
    let (in_process, good) = (InProcessAuth::jwt(&issuer), token(&issuer.ec));
    let waited = async |time_ms: u64, most_ms: u128| {
        let (began, time) = (Instant::now(), Duration::from_millis(time_ms));
        assert_eq!(in_process.within(time, start(), &good).await, UNAVAILABLE);
        let took_ms = began.elapsed().as_millis();
        assert!(took_ms < most_ms, "{time_ms} ms: {took_ms} ms");
    };
    let (patient, hurried) = (|_| waited(20_000, 3_500), |_| waited(200, 1_000));
    tokio::join!(join_all((0..5).map(patient)), join_all((0..5).map(hurried)));
}
