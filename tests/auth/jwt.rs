//! JWTs, sent to the Lambda.

use crate::identity::Role;
use crate::identity::keys::{SigningKey, joined};
use crate::identity::record::remember;
use crate::identity::{Identity, Reply};
use crate::issuer::{ALL, ISSUER, Issuer, claims, seconds, with_value, without_value};
use crate::stage::{Stage, with_token};
use crate::support::lambda::events::{act, event, header, with};
use crate::support::{AUTHORIZED, capture};
use ring::hmac;
use serde_json::{Value, json};

#[tokio::test]
async fn a_valid_token_is_accepted_in_each_form_that_issuers_use() {
    let issuer = Issuer::start().await;
    let stage = Stage::start(issuer.variables()).await;
    let (rsa, ec) = (&issuer.rsa, &issuer.ec);
    let two = json!(["view_payments:demo", ALL]);
    let scp = |value: Value| with_value(without_value(claims(""), "scope"), "scp", value);
    let typed = |typ: &str| with_value(ec.header(), "typ", typ);
    let rows = [
        ("RS256", rsa.token(&claims(ALL))),
        ("ES256", ec.token(&claims(ALL))),
        ("one of many scopes", ec.token(&claims(format!("a:demo {ALL}  b")))),
        ("a list of scopes", rsa.token(&claims(two.clone()))),
        ("scp", rsa.token(&scp(json!(ALL)))),
        ("a list in scp", ec.token(&scp(two))),
        ("scopes by both names", ec.token(&with_value(claims("a:demo"), "scp", json!([ALL])))),
        ("audiences", ec.token(&with_value(claims(ALL), "aud", json!(["x", "payment-intents"])))),
        ("JWT", ec.signed(&typed("JWT"), &claims(ALL))),
        ("the whole type", ec.signed(&typed("application/at+jwt"), &claims(ALL))),
        ("no type", ec.signed(&without_value(ec.header(), "typ"), &claims(ALL))),
        ("a header more", ec.signed(&with_value(ec.header(), "x5t", "abc"), &claims(ALL))),
        ("a fraction of a second", ec.token(&with_value(claims(ALL), "exp", expires_in_part()))),
        ("no nbf", ec.token(&with_value(claims(ALL), "nbf", Value::Null))),
        ("no subject", ec.token(&without_value(claims(ALL), "sub"))),
        ("a long one", ec.token(&with_value(claims(ALL), "more", "a".repeat(5_000)))),
    ];
    for (name, token) in &rows {
        let reply = stage.capture(token).await;
        assert_eq!(reply.outcome(), (200, ""), "{name}: {reply:?}");
    }
    assert_eq!(stage.effects(), rows.len());
    assert_eq!(issuer.identity.received(Role::Keys).len(), 1);
}

/// Half an hour from now, in seconds with a fraction.
fn expires_in_part() -> Value {
    serde_json::from_str(&format!("{}.125", seconds() + 1_800)).unwrap()
}

#[tokio::test]
async fn forged_altered_and_foreign_tokens_are_refused() {
    let issuer = Issuer::start().await;
    let stage = Stage::start(issuer.variables()).await;
    let (rsa, ec, enc) = (&issuer.rsa, &issuer.ec, &issuer.enc);
    let good = || claims(ALL);
    let own = SigningKey::es256("ec-1");
    let headed =
        |name: &str, value: Value| ec.signed(&with_value(ec.header(), name, value), &good());
    let claimed = |name: &str, value: Value| ec.token(&with_value(good(), name, value));
    let with_other_header = |header: Value| rsa.signed(&header, &good());
    let by =
        |sign: &dyn Fn(&[u8]) -> Vec<u8>, key: &SigningKey| joined(&key.header(), &good(), sign);
    let whole = ec.token(&good());
    let (message, signature) = whole.rsplit_once('.').unwrap();
    let mut rows = vec![
        ("another key of that name", own.token(&good())),
        ("an unknown key", headed("kid", json!("ec-2"))),
        ("no key", ec.signed(&without_value(ec.header(), "kid"), &good())),
        ("a key that is no text", headed("kid", json!(1))),
        ("a key for encryption", enc.token(&good())),
        ("a key of no known type", headed("kid", json!("strange-1"))),
        ("an address of keys", headed("jku", json!(issuer.identity.url("/elsewhere")))),
        ("an address of a certificate", headed("x5u", json!(issuer.identity.url("/elsewhere")))),
        ("a key of its own", own.signed(&with_value(own.header(), "jwk", own.jwk()), &good())),
        ("a key of the issuer", headed("jwk", ec.jwk())),
        ("a certificate", headed("x5c", json!(["MIIB"]))),
        ("crit", headed("crit", json!(["exp"]))),
        ("no crit", headed("crit", json!([]))),
        ("b64", headed("crit", json!(["b64"]))),
        ("compressed", headed("zip", json!("DEF"))),
        ("an ID token", headed("typ", json!("id+jwt"))),
        ("a logout token", headed("typ", json!("logout+jwt"))),
        ("the other algorithm, by RSA", with_other_header(with_value(ec.header(), "kid", "rsa-1"))),
        ("the other key, by RSA", with_other_header(with_value(rsa.header(), "kid", "ec-1"))),
        ("the other algorithm, by EC", headed("alg", json!("RS256"))),
        ("the other key, by EC", headed("kid", json!("rsa-1"))),
        ("a longer hash", with_other_header(with_value(rsa.header(), "alg", "RS512"))),
        ("another padding", with_other_header(with_value(rsa.header(), "alg", "PS256"))),
        ("another curve", headed("alg", json!("ES384"))),
        ("no algorithm", ec.signed(&without_value(ec.header(), "alg"), &good())),
        ("in small letters", headed("alg", json!("es256"))),
        ("a signature in DER", by(&|message| ec.other_signature(message), ec)),
        ("a signature by SHA-512", by(&|message| rsa.other_signature(message), rsa)),
        ("zeros", by(&|_| vec![0; 64], ec)),
        ("a signature and more", by(&|text| [ec.signature(text), vec![0]].concat(), ec)),
        ("no signature", format!("{message}.")),
        ("two parts", message.to_owned()),
        ("four parts", format!("{whole}.{signature}")),
        ("padded", format!("{whole}==")),
        ("another issuer", claimed("iss", json!("https://tokens.example/other"))),
        ("an issuer and more", claimed("iss", json!(format!("{ISSUER}/")))),
        ("no issuer", ec.token(&without_value(good(), "iss"))),
        ("another audience", claimed("aud", json!("payment-intents-2"))),
        ("other audiences", claimed("aud", json!(["a", "b"]))),
        ("no audiences", claimed("aud", json!([]))),
        ("no audience", ec.token(&without_value(good(), "aud"))),
        ("no end", ec.token(&without_value(good(), "exp"))),
        ("an end that is null", claimed("exp", Value::Null)),
        ("an end that is a text", claimed("exp", json!((seconds() + 60).to_string()))),
        ("an end before 1970", claimed("exp", json!(-1))),
        ("an end that is too great", claimed("exp", serde_json::from_str("1e300").unwrap())),
        ("a beginning that is a text", claimed("nbf", json!("0"))),
        ("a scope that is a number", claimed("scope", json!(7))),
        ("an empty object", ec.token(&json!({}))),
        ("a list", ec.token(&json!([good()]))),
        ("garbage", "garbage".to_owned()),
        ("dots", "..".to_owned()),
        ("garbage in three parts", "e30.e30.e30".to_owned()),
        ("too long", ec.token(&with_value(good(), "more", "a".repeat(8_000)))),
        ("two in one", format!("{whole},Bearer {whole}")),
    ];
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let header = with_value(ec.header(), "alg", algorithm);
        rows.push(("none, unsigned", joined(&header, &good(), |_| Vec::new())));
        rows.push(("none, signed", ec.signed(&header, &good())));
    }
    for key in [rsa, ec] {
        for public in key.public_bytes() {
            let header = with_value(key.header(), "alg", "HS256");
            let secret = hmac::Key::new(hmac::HMAC_SHA256, &public);
            let sign = |message: &[u8]| hmac::sign(&secret, message).as_ref().to_vec();
            rows.push(("the public key as a secret", joined(&header, &good(), sign)));
        }
    }
    for (name, token) in &rows {
        let reply = stage.capture(token).await;
        assert_eq!(reply.outcome(), (401, "invalid_token"), "{name}: {reply:?}");
    }
    assert_eq!(stage.dynamodb.calls(), [""; 0]);
    assert_eq!(stage.effects(), 0);
    assert!(issuer.identity.received(Role::Elsewhere).is_empty());
    assert_eq!(stage.capture(&whole).await.status, 200);
}

#[tokio::test]
async fn the_clocks_may_differ_by_a_minute() {
    let issuer = Issuer::start().await;
    let stage = Stage::start(issuer.variables()).await;
    for (name, seconds_from_now, expected) in [
        ("exp", -55, 200),
        ("exp", -65, 401),
        ("exp", -86_400, 401),
        ("nbf", 55, 200),
        ("nbf", 65, 401),
        ("nbf", 86_400, 401),
        ("nbf", -86_400, 200),
        // `iat` is not checked.
        ("iat", 86_400, 200),
    ] {
        let at = seconds().checked_add_signed(seconds_from_now).unwrap();
        let reply = stage.capture(&issuer.ec.token(&with_value(claims(ALL), name, at))).await;
        assert_eq!(reply.status, expected, "{name} {seconds_from_now}: {reply:?}");
    }
}

#[tokio::test]
async fn a_request_with_two_tokens_is_refused() {
    let issuer = Issuer::start().await;
    let stage = Stage::start(issuer.variables()).await;
    let token = || format!("Bearer {}", issuer.ec.token(&claims(ALL)));
    let authorization = |values: Value| {
        let event = with(event("capture-rest-v1"), "/requestContext/authorizer", Value::Null);
        with(event, "/multiValueHeaders/Authorization", values)
    };
    let two_names =
        with(authorization(json!([token()])), "/multiValueHeaders/authorization", json!([token()]));
    for event in [
        authorization(json!([token(), token()])),
        authorization(json!([token(), "Basic YTpi"])),
        authorization(json!(["Basic YTpi", token()])),
        two_names,
        // An HTTP API joins repeated headers; a REST API lists them.
        header(
            with_token("", act(AUTHORIZED, capture(1))),
            "authorization",
            token() + "," + &token(),
        ),
    ] {
        assert_eq!(stage.outcome(&event).await, (401, "invalid_token".to_owned(), 0), "{event}");
    }
    let (status, ..) = stage.outcome(&authorization(json!([token()]))).await;
    assert_eq!((status, stage.effects()), (200, 1));
}

#[tokio::test]
async fn unknown_key_ids_do_not_cause_key_requests() {
    let issuer = Issuer::start().await;
    let stage = Stage::start(issuer.variables()).await;
    let made_up = async |count: usize| {
        for number in 0..count {
            let header = with_value(issuer.ec.header(), "kid", format!("made-up-{number}"));
            let reply = stage.capture(&issuer.ec.signed(&header, &claims(ALL))).await;
            assert_eq!(reply.outcome(), (401, "invalid_token"), "{reply:?}");
        }
    };
    made_up(20).await;
    // Known keys are used without the key server.
    issuer.identity.usually(Role::Keys, Reply::Says(500, "{}".to_owned()));
    made_up(5).await;
    assert_eq!(stage.capture(&issuer.ec.token(&claims(ALL))).await.status, 200);
    assert_eq!(stage.capture(&issuer.rsa.token(&claims(ALL))).await.status, 200);
    assert_eq!(issuer.identity.received(Role::Keys).len(), 1);
}

#[tokio::test]
async fn without_keys_the_answer_is_503_and_not_401() {
    let issuer = Issuer::start().await;
    issuer.identity.usually(Role::Keys, Reply::Silence);
    let stage = Stage::start(issuer.variables()).await;
    let event = with_token(&issuer.ec.token(&claims(ALL)), act(AUTHORIZED, capture(1)));
    let began = std::time::Instant::now();
    let reply = stage.invoke(&event).await;
    let took_ms = began.elapsed().as_millis();
    assert_eq!(reply.outcome(), (503, "ServiceUnavailable"), "{reply:?}");
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert!((1_900..3_500).contains(&took_ms), "{took_ms} ms");
    let nowhere = issuer.identity.url("/elsewhere");
    for reply in [
        Reply::Says(500, "{}".to_owned()),
        Reply::Says(200, "<html>".to_owned()),
        Reply::Redirect(nowhere),
        Reply::Drop,
    ] {
        issuer.identity.usually(Role::Keys, reply.clone());
        let outcome = stage.outcome(&event).await;
        assert_eq!(outcome, (503, "ServiceUnavailable".to_owned(), 0), "{reply:?}");
    }
    assert!(issuer.identity.received(Role::Elsewhere).is_empty());
    // A malformed token is refused without keys.
    let garbage = with_token(&remember("garbage-garbage"), act(AUTHORIZED, capture(1)));
    assert_eq!(stage.outcome(&garbage).await.0, 401);
    issuer.publish(&[issuer.ec.jwk()]);
    assert_eq!(stage.outcome(&event).await.0, 200);
    assert_eq!(stage.effects(), 1);
}

/// An issuer on another server than the keys is never called.
#[tokio::test]
async fn keys_are_requested_only_from_the_configured_key_server() {
    let (issuer, other) = (Issuer::start().await, Identity::start().await);
    let stage = Stage::start(issuer.variables()).await;
    let at_other = with_value(claims(ALL), "iss", other.url(""));
    assert_eq!(stage.capture(&issuer.ec.token(&at_other)).await.status, 401);
    assert!(other.received(Role::Keys).is_empty() && other.received(Role::Elsewhere).is_empty());
}
