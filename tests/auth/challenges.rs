//! The answers to callers without access.

use crate::issuer::{ALL, Issuer, claims};
use crate::service::TokenService;
use crate::stage::Stage;
use crate::support::lambda::events::{act, authorized_as, header, with};
use crate::support::{AUTHORIZED, Reply, capture};
use serde_json::{Value, json};

/// The whole answer has the fields of this API and those of OAuth 2.0.
fn assert_refused(reply: &Reply, code: &str, challenge: &str, what: &str) {
    let message = match code {
        "access_denied" => {
            "An access token is required: get one from the token service and send it as \
             `Authorization: Bearer`."
        }
        _ => "The access token is invalid or has expired: get a new one from the token service.",
    };
    let expected = json!({
        "statusCode": 401, "message": message, "errors": [{"code": code, "message": message}],
        "error": code, "error_description": message,
    });
    assert_eq!((reply.status, &reply.body), (401, &expected), "{what}");
    assert_eq!(reply.header("www-authenticate"), Some(challenge), "{what}");
}

/// Requests without a token and without an authorizer.
fn without_token() -> Value {
    let mut event = authorized_as(act(AUTHORIZED, capture(1)), json!(null));
    event["headers"].as_object_mut().unwrap().remove("authorization");
    event
}

#[tokio::test]
async fn a_missing_token_is_answered_with_a_challenge_without_an_error() {
    let (issuer, service) = (Issuer::start().await, TokenService::start().await);
    let gateway = vec![("AUTH", "gateway".to_owned())];
    for variables in [gateway, issuer.variables(), service.variables()] {
        let stage = Stage::start(variables).await;
        let shown = |value: &str| header(without_token(), "authorization", value);
        for event in [
            without_token(),
            shown(""),
            shown("Bearer"),
            shown("Basic YTpi"),
            shown("Token abcdefgh"),
            shown("Bearerabcdefgh"),
            shown("abcdefgh"),
        ] {
            let reply = stage.invoke(&event).await;
            let challenge = "Bearer realm=\"payment-intents\"";
            assert_refused(&reply, "access_denied", challenge, &event.to_string());
        }
        assert_eq!(stage.dynamodb.calls(), [""; 0]);
    }
}

#[tokio::test]
async fn an_invalid_token_is_answered_401_invalid_token() {
    let (issuer, service) = (Issuer::start().await, TokenService::start().await);
    for variables in [issuer.variables(), service.variables()] {
        let stage = Stage::start(variables).await;
        for value in ["Bearer ", "Bearer abcdefgh", "bearer abcdefgh", "Bearer a b", "Bearer \"a\""]
        {
            let reply = stage.invoke(&header(without_token(), "authorization", value)).await;
            let challenge = "Bearer realm=\"payment-intents\", error=\"invalid_token\"";
            assert_refused(&reply, "invalid_token", challenge, value);
        }
        assert_eq!(stage.dynamodb.calls(), [""; 0]);
    }
}

#[tokio::test]
async fn the_scheme_is_read_in_any_case_and_with_any_blanks() {
    let issuer = Issuer::start().await;
    let stage = Stage::start(issuer.variables()).await;
    for scheme in ["Bearer ", "bearer ", "BEARER ", "Bearer   "] {
        let value = format!("{scheme}{} ", issuer.ec.token(&claims(ALL)));
        let reply = stage.invoke(&header(without_token(), "authorization", value)).await;
        assert_eq!(reply.status, 200, "{scheme:?}: {reply:?}");
    }
}

/// With `AUTH=jwt` or `introspection`, the claims of an authorizer are ignored.
#[tokio::test]
async fn claims_of_an_authorizer_count_only_where_one_is_in_front() {
    let (issuer, service) = (Issuer::start().await, TokenService::start().await);
    let poor = [issuer.ec.token(&claims("view_orders:demo")), service.grant("view_orders:demo")];
    for (variables, poor) in [issuer.variables(), service.variables()].into_iter().zip(poor) {
        let stage = Stage::start(variables).await;
        for authorizer in [
            json!({"jwt": {"claims": {"scope": ALL}}}),
            json!({"lambda": {"scope": ALL}}),
            json!({"claims": {"scope": ALL}}),
            json!({"scope": ALL}),
        ] {
            let event = authorized_as(without_token(), authorizer);
            assert_eq!(stage.outcome(&event).await, (401, "access_denied".to_owned(), 0));
            let event = header(event, "authorization", format!("Bearer {poor}"));
            assert_eq!(stage.outcome(&event).await, (403, "insufficient_scope".to_owned(), 0));
        }
        assert_eq!(stage.effects(), 0);
    }
}

/// An unauthorized caller learns nothing about its request, except that a path does not
/// exist.
#[tokio::test]
async fn without_a_token_nothing_about_the_request_or_the_payment_is_revealed() {
    let stage = Stage::start(Issuer::start().await.variables()).await;
    for (pointer, value, expected) in [
        ("/body", "{", 401),
        ("/body", "", 401),
        ("/headers/idempotency-key", "a,b", 401),
        ("/headers/content-type", "text/plain", 401),
        ("/rawPath", "/demo/payment-intents/absent", 401),
        ("/rawPath", "/acme/payment-intents/absent", 401),
        ("/rawPath", "/demo/nothing", 404),
        ("/requestContext/http/method", "DELETE", 405),
    ] {
        let (status, _, calls) = stage.outcome(&with(without_token(), pointer, value)).await;
        assert_eq!((status, calls), (expected, 0), "{pointer} {value:?}");
    }
}
