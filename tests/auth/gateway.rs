//! Callers that an authorizer of API Gateway has verified, in each of its formats.

use crate::identity::record::remember;
use crate::issuer::{ALL, Issuer, claims};
use crate::stage::Stage;
use crate::support::lambda::events::{act, authorized_as, event, header, with};
use crate::support::{AUTHORIZED, capture};
use serde_json::{Value, json};

/// The events, and the place of the claims in each: a JWT authorizer and a Lambda
/// authorizer of an HTTP API, a Lambda authorizer and a user pool of a REST API.
const DOCUMENTS: [(&str, &str); 4] = [
    ("capture", "/requestContext/authorizer/jwt/claims"),
    ("capture-lambda-authorizer", "/requestContext/authorizer/lambda"),
    ("capture-rest-v1", "/requestContext/authorizer"),
    ("capture-rest-user-pool", "/requestContext/authorizer/claims"),
];

async fn behind_gateway() -> Stage {
    // The token in all of the events.
    remember("demo-header.demo-claims.demo-signature");
    Stage::start(vec![("AUTH", "gateway".to_owned())]).await
}

/// The event, with a capture of one cent.
fn one_cent(name: &str) -> Value {
    with(event(name), "/body", act(AUTHORIZED, capture(1))["body"].clone())
}

#[tokio::test]
async fn scopes_are_read_from_every_kind_of_authorizer() {
    let stage = behind_gateway().await;
    let mut effects = 0;
    for (name, claims) in DOCUMENTS {
        let reply = stage.invoke(&event(name)).await;
        assert_eq!(reply.outcome(), (200, ""), "{name}: {reply:?}");
        effects += 1;
        for (scope, may) in [
            (ALL, true),
            ("a:demo manage_project:demo b:demo", true),
            // The text that an HTTP API makes of a claim that is a list.
            ("[manage_project:demo]", true),
            ("[view_payments:demo manage_project:demo]", true),
            ("[manage_project:demo view_payments:demo]", true),
            ("[]", false),
            ("[manage_project:acme]", false),
            ("[manage_project:demo", false),
            ("manage_project:demo]", false),
            ("[manage_project:demo, view_payments:demo]", false),
            ("manage_project:acme", false),
            ("view_payments:demo", false),
            ("", false),
        ] {
            for claim in ["scope", "scp"] {
                let event = with(one_cent(name), &format!("{claims}/scope"), Value::Null);
                let event = with(event, &format!("{claims}/{claim}"), scope);
                let (status, code, calls) = stage.outcome(&event).await;
                let expected = if may { (200, "") } else { (403, "insufficient_scope") };
                assert_eq!((status, code.as_str()), expected, "{name}: {claim} {scope:?}");
                assert_eq!(calls > 0, may, "{name}: {claim} {scope:?}");
                effects += usize::from(may);
            }
        }
    }
    assert_eq!(stage.effects(), effects);
}

#[tokio::test]
async fn without_an_authorizer_context_the_answer_is_401() {
    let stage = behind_gateway().await;
    for (name, _) in DOCUMENTS {
        let mut none = one_cent(name);
        none["requestContext"].as_object_mut().unwrap().remove("authorizer");
        for event in [
            none,
            authorized_as(one_cent(name), json!(null)),
            authorized_as(one_cent(name), json!({})),
            authorized_as(one_cent(name), json!([ALL])),
            authorized_as(one_cent(name), json!(ALL)),
        ] {
            let expected = (401, "access_denied".to_owned(), 0);
            assert_eq!(stage.outcome(&event).await, expected, "{name}: {event}");
        }
    }
    assert_eq!(stage.effects(), 0);
}

/// With `AUTH=gateway`, the service verifies no token itself.
#[tokio::test]
async fn behind_a_gateway_a_token_in_the_header_is_not_accepted() {
    let (stage, issuer) = (behind_gateway().await, Issuer::start().await);
    let event = authorized_as(act(AUTHORIZED, capture(1)), json!(null));
    let token = format!("Bearer {}", issuer.ec.token(&claims(ALL)));
    let event = header(event, "authorization", token);
    assert_eq!(stage.outcome(&event).await, (401, "access_denied".to_owned(), 0));
}

/// Claims in the request itself do not count.
#[tokio::test]
async fn authorizer_claims_that_a_caller_sends_are_ignored() {
    let stage = behind_gateway().await;
    let authorizer = json!({"jwt": {"claims": {"scope": ALL}}, "scope": ALL});
    let event = authorized_as(act(AUTHORIZED, capture(1)), json!(null));
    for event in [
        with(event.clone(), "/authorizer", authorizer.clone()),
        with(event.clone(), "/requestContext/http/authorizer", authorizer.clone()),
        header(event.clone(), "x-amzn-authorizer", authorizer.to_string()),
        with(
            event,
            "/body",
            json!({"actions": [capture(1)], "authorizer": authorizer}).to_string(),
        ),
    ] {
        assert_eq!(stage.outcome(&event).await.0, 401, "{event}");
    }
}
