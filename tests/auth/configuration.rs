//! Contradictory settings: the function does not start, and its error names all of the
//! variables at once.

use crate::identity::record::{remember, secret};
use crate::stage::{API, RECOVERY, Variables, output_at_exit};
use serde_json::json;

/// Settings that are valid in every row.
fn base() -> Variables {
    vec![
        ("PAYMENTS_TABLE", "payments".to_owned()),
        ("CONNECTORS", json!({"*": {"url": "https://connector.example"}}).to_string()),
    ]
}

const ISSUER: (&str, &str) = ("AUTH_ISSUER", "https://tokens.example");
const AUDIENCE: (&str, &str) = ("AUTH_AUDIENCE", "payment-intents");
const KEYS: (&str, &str) = ("AUTH_JWKS_URL", "https://tokens.example/keys");
const SERVICE: (&str, &str) = ("AUTH_INTROSPECTION_URL", "https://tokens.example/introspect");
const ID: (&str, &str) = ("AUTH_CLIENT_ID", "us");
const SECRET: (&str, &str) = ("AUTH_CLIENT_SECRET", "the-secret-of-us");
const ARN: (&str, &str) = ("AUTH_CLIENT_SECRET_ARN", "arn:aws:secretsmanager");

#[tokio::test]
async fn contradictory_and_missing_variables_are_all_named() {
    remember(SECRET.1);
    let auth = |mode| ("AUTH", mode);
    let rows: [(&[(&str, &str)], &str); 18] = [
        (&[], "AUTH is missing"),
        (&[auth("")], "AUTH is missing"),
        (&[auth("off")], "AUTH is off, which only the local server may be"),
        (&[auth("JWT")], "AUTH is not one of: gateway, jwt, introspection"),
        (&[auth("jwt,gateway")], "AUTH is not one of: gateway, jwt, introspection"),
        (&[ISSUER, AUDIENCE, KEYS], "AUTH is missing"),
        (
            &[auth("jwt")],
            "AUTH_ISSUER is missing; AUTH_AUDIENCE is missing; AUTH_JWKS_URL is missing",
        ),
        (&[auth("jwt"), AUDIENCE, KEYS], "AUTH_ISSUER is missing"),
        (
            &[auth("introspection")],
            "AUTH_INTROSPECTION_URL is missing; AUTH_CLIENT_ID is missing; AUTH_CLIENT_SECRET is \
             missing",
        ),
        (
            &[auth("introspection"), SERVICE, ID, ("AUTH_CLIENT_SECRET", "")],
            "AUTH_CLIENT_SECRET is missing",
        ),
        (
            &[auth("gateway"), ISSUER, AUDIENCE],
            "AUTH_ISSUER has no meaning with AUTH=gateway; AUTH_AUDIENCE has no meaning with \
             AUTH=gateway",
        ),
        (
            &[auth("gateway"), ID, SECRET, ARN],
            "AUTH_CLIENT_ID has no meaning with AUTH=gateway; AUTH_CLIENT_SECRET has no meaning \
             with AUTH=gateway; AUTH_CLIENT_SECRET_ARN has no meaning with AUTH=gateway",
        ),
        (
            &[auth("jwt"), ISSUER, AUDIENCE, KEYS, SERVICE],
            "AUTH_INTROSPECTION_URL has no meaning with AUTH=jwt",
        ),
        (
            &[auth("introspection"), SERVICE, ID, SECRET, KEYS],
            "AUTH_JWKS_URL has no meaning with AUTH=introspection",
        ),
        (
            &[auth("jwt"), SERVICE],
            "AUTH_INTROSPECTION_URL has no meaning with AUTH=jwt; AUTH_ISSUER is missing; \
             AUTH_AUDIENCE is missing; AUTH_JWKS_URL is missing",
        ),
        (
            &[auth("jwt"), ISSUER, AUDIENCE, ("AUTH_JWKS_URL", "http://tokens.example/keys")],
            "AUTH_JWKS_URL is plain http, which is for loopback addresses only",
        ),
        (
            &[auth("introspection"), ID, SECRET, ("AUTH_INTROSPECTION_URL", "http://10.0.0.1/")],
            "AUTH_INTROSPECTION_URL is plain http, which is for loopback addresses only",
        ),
        (&[auth("jwt"), ISSUER, AUDIENCE, ("AUTH_JWKS_URL", "/keys")], "AUTH_JWKS_URL has no host"),
    ];
    for (variables, expected) in rows {
        let given = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let said = output_at_exit(API, &base().into_iter().chain(given).collect()).await;
        let whole = format!("invalid configuration: {expected}");
        // The message ends here: nothing else is wrong.
        let at = said.find(&whole).unwrap_or_else(|| panic!("{variables:?}: {said}"));
        let rest = &said[at + whole.len()..];
        assert!(rest.starts_with(['"', '\n']) || rest.is_empty(), "{variables:?}: {said}");
    }
}

/// A secret may be in the wrong variable: the error has the variable's name, and not its
/// value.
#[tokio::test]
async fn errors_name_the_wrong_variable_but_not_its_value() {
    let hidden = secret("misplaced");
    let url = |host: &str| format!("https://us:{hidden}@{host}/keys");
    let number = 9_876_543_210_123_456_u64;
    remember(&number.to_string());
    let connector = |more: serde_json::Value| {
        let mut settings = json!({"url": "https://connector.example"});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("CONNECTORS", json!({ "*": settings }).to_string())
    };
    let credentials = |secret: serde_json::Value| {
        json!({"authorization": {
            "type": "clientCredentials", "tokenUrl": "https://tokens.example", "clientId": "us",
            "clientSecret": secret,
        }})
    };
    let jwt = |keys: String| [("AUTH", "jwt".to_owned()), ("AUTH_JWKS_URL", keys)].to_vec();
    for (variables, expected) in [
        (jwt(url("tokens.example")), "AUTH_JWKS_URL carries credentials"),
        (jwt(format!("not a url {hidden}")), "AUTH_JWKS_URL is not a URL"),
        (vec![("CONNECTORS", hidden.clone())], "CONNECTORS is not a JSON object"),
        (vec![("CONNECTORS", json!({"*": {"url": url("x")}}).to_string())], "carries credentials"),
        (vec![connector(credentials(json!(number)))], "CONNECTORS.* cannot be read"),
        (vec![connector(credentials(json!([hidden])))], "CONNECTORS.* cannot be read"),
        (vec![connector(json!({"authorization": hidden}))], "CONNECTORS.* cannot be read"),
        (
            vec![connector(json!({"authorization": {"type": hidden}}))],
            "CONNECTORS.* cannot be read",
        ),
        (vec![connector(json!({"timeoutMs": hidden}))], "CONNECTORS.* cannot be read"),
        (vec![connector(json!({"profile": hidden}))], "CONNECTORS.* cannot be read"),
        (vec![connector(json!({"platform": hidden}))], "CONNECTORS.* cannot be read"),
    ] {
        for binary in [API, RECOVERY] {
            let is_for_callers = variables.iter().any(|(name, _)| *name == "AUTH");
            if binary == RECOVERY && is_for_callers {
                continue;
            }
            let said = output_at_exit(binary, &[base(), variables.clone()].concat()).await;
            assert!(said.contains(expected), "{variables:?}: {said}");
            let shows = |secret: &str| said.contains(secret);
            assert!(!shows(&hidden) && !shows(&number.to_string()), "{variables:?}: {said}");
        }
    }
}
