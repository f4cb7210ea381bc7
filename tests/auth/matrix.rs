//! The routes that each scope allows, in each mode of authorization.

use crate::identity::record::secret;
use crate::issuer::{Issuer, claims};
use crate::service::TokenService;
use crate::stage::{KEY, Stage, with_token};
use crate::support::lambda::events::{act, event, header, with};
use crate::support::{AUTHORIZED, capture};
use serde_json::{Value, json};

/// A route, its status for an authorized caller, and the scopes that it needs.
struct Route {
    name: &'static str,
    event: Value,
    status: u16,
    missing: &'static str,
}

fn routes() -> Vec<Route> {
    let created = json!({"amountPlanned": {"centAmount": 1, "currencyCode": "EUR"}});
    vec![
        Route {
            name: "act",
            event: act(AUTHORIZED, capture(1)),
            status: 200,
            missing: "manage_checkout_payment_intents, manage_project",
        },
        Route {
            name: "get",
            event: event("get-payment"),
            status: 200,
            missing: "view_payments, manage_payments, manage_project",
        },
        Route {
            name: "create",
            event: with(event("create-payment"), "/body", created.to_string()),
            status: 201,
            missing: "manage_payments, manage_project",
        },
        Route {
            name: "find",
            event: with(event("get-payment"), "/rawPath", format!("/demo/payments/key={KEY}")),
            status: 200,
            missing: "view_payments, manage_payments, manage_project",
        },
        Route {
            name: "query",
            event: with(
                with(event("get-payment"), "/rawPath", "/demo/payments"),
                "/rawQueryString",
                format!("where=interfaceId%3D%22{KEY}%22"),
            ),
            status: 200,
            missing: "view_payments, manage_payments, manage_project",
        },
        Route {
            name: "update",
            event: with(
                with(event("create-payment"), "/rawPath", format!("/demo/payments/{AUTHORIZED}")),
                "/body",
                json!({"version": 1_000_000, "actions": []}).to_string(),
            ),
            // No Payment has that version, so an authorized caller gets a conflict.
            status: 409,
            missing: "manage_payments, manage_project",
        },
    ]
}

const ALL: &[&str] = &["act", "get", "find", "query", "create", "update"];

/// The permissions of a token with these scopes in the project `demo`.
const SCOPES: [(&str, &[&str]); 36] = [
    ("manage_checkout_payment_intents:demo", &["act"]),
    ("manage_project:demo", ALL),
    ("view_payments:demo", &["get", "find", "query"]),
    ("manage_payments:demo", &["get", "find", "query", "create", "update"]),
    ("view_payments:demo manage_checkout_payment_intents:demo", &["act", "get", "find", "query"]),
    ("manage_payments:demo manage_checkout_payment_intents:demo", ALL),
    // Scopes of another project.
    ("manage_checkout_payment_intents:acme", &[]),
    ("manage_project:acme", &[]),
    ("view_payments:acme", &[]),
    ("manage_payments:acme", &[]),
    ("manage_project:acme view_payments:demo", &["get", "find", "query"]),
    ("manage_project:acme manage_payments:acme manage_checkout_payment_intents:demo", &["act"]),
    // Scopes for other resources.
    ("view_products:demo", &[]),
    ("manage_orders:demo", &[]),
    ("manage_checkout_payment_intent:demo", &[]),
    ("view_checkout_payment_intents:demo", &[]),
    ("view_project_settings:demo", &[]),
    ("view_project:demo", &[]),
    // Scopes with similar names.
    ("manage_projects:demo", &[]),
    ("anage_project:demo", &[]),
    ("xmanage_project:demo", &[]),
    ("Manage_Project:demo", &[]),
    ("manage_project:demo2", &[]),
    ("manage_project:dem", &[]),
    ("manage_project:xdemo", &[]),
    ("manage_project:Demo", &[]),
    ("manage_project:demo:acme", &[]),
    ("manage_project:acme:demo", &[]),
    ("manage_project::demo", &[]),
    ("manage_project:*", &[]),
    ("*:demo", &[]),
    // Scopes without a project, or with an empty one.
    ("manage_project:", &[]),
    ("manage_project", &[]),
    (":demo", &[]),
    ("demo", &[]),
    ("", &[]),
];

/// Requests each route with each list of scopes; `granted` puts the scopes into the event.
async fn check_all_routes(stage: &Stage, granted: impl Fn(&str, Value) -> Value) {
    let mut acted = 0;
    for (scopes, opened) in SCOPES {
        for Route { name, event, status, missing } in routes() {
            let what = format!("{name} with {scopes:?}");
            let event = header(granted(scopes, event), "idempotency-key", secret("key"));
            let reply = stage.invoke(&event).await;
            let calls = stage.dynamodb.calls();
            if opened.contains(&name) {
                acted += usize::from(name == "act");
                assert_eq!(reply.status, status, "{what}: {reply:?}");
                assert!(!calls.is_empty(), "{what}");
            } else {
                let message =
                    format!("Insufficient scope. One of the following is missing: {missing}.");
                let error = json!({"code": "insufficient_scope", "message": message});
                let expected = json!({
                    "statusCode": 403, "message": message, "errors": [error],
                    "error": "insufficient_scope", "error_description": message,
                });
                assert_eq!((reply.status, &reply.body), (403, &expected), "{what}");
                let challenge = "Bearer realm=\"payment-intents\", error=\"insufficient_scope\"";
                assert_eq!(reply.header("www-authenticate"), Some(challenge), "{what}");
                assert_eq!(calls, [""; 0], "{what}");
            }
            assert_eq!(stage.effects(), acted, "{what}");
        }
    }
}

#[tokio::test]
async fn each_scope_allows_its_own_routes_behind_a_gateway() {
    let stage = Stage::start(vec![("AUTH", "gateway".to_owned())]).await;
    check_all_routes(&stage, |scopes, event| {
        with(event, "/requestContext/authorizer/jwt/claims/scope", scopes)
    })
    .await;
}

#[tokio::test]
async fn each_scope_allows_its_own_routes_in_a_jwt() {
    let issuer = Issuer::start().await;
    let stage = Stage::start(issuer.variables()).await;
    check_all_routes(&stage, |scopes, event| with_token(&issuer.ec.token(&claims(scopes)), event))
        .await;
}

#[tokio::test]
async fn each_scope_allows_its_own_routes_by_introspection() {
    let service = TokenService::start().await;
    let stage = Stage::start(service.variables()).await;
    check_all_routes(&stage, |scopes, event| with_token(&service.grant(scopes), event)).await;
}

/// No server listens at the table's address: an authorized request gets 503.
#[tokio::test]
async fn a_missing_scope_is_answered_403_even_during_outages() {
    let issuer = Issuer::start().await;
    let mut variables = issuer.variables();
    variables.push(("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1".to_owned()));
    let stage = Stage::start(variables).await;
    for Route { name, event, .. } in routes() {
        let ask = async |scopes: &str| {
            let bearer = issuer.rsa.token(&claims(scopes));
            stage.invoke(&with_token(&bearer, event.clone())).await.status
        };
        let with_and_without = (ask("manage_project:demo").await, ask("view_products:demo").await);
        assert_eq!(with_and_without, (503, 403), "{name}");
    }
}
