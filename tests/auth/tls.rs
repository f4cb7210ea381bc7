//! Certificates of connectors and token servers: accepted only from an authority that the
//! system trusts, for the right name, and while valid.

use crate::identity::{Identity, Reply, Role};
use crate::issuer::{ALL, Issuer, claims};
use crate::service::TokenService;
use crate::stage::{Stage, Variables, connectors, with_token};
use crate::support::lambda::events::act;
use crate::support::tls::{Authority, Certificate, TlsProxy};
use crate::support::{AUTHORIZED, Reply as Answer, capture};
use futures_util::future::join_all;
use serde_json::json;
use std::path::Path;

/// The server's certificate, and the authorities that the function trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// The authorities of the system.
    System,
    Another,
    /// The authority of the tests.
    Maker(Certificate),
}

const GOOD: Trust = Trust::Maker(Certificate::Valid);
const ALL_OF_THEM: [Trust; 5] = [
    Trust::System,
    Trust::Another,
    Trust::Maker(Certificate::OtherName),
    Trust::Maker(Certificate::Expired),
    GOOD,
];

/// TLS in front of a server, and the variables that set the trusted authorities.
async fn front(trust: Trust, server: &Identity, directory: &Path) -> (TlsProxy, Variables) {
    let maker = Authority::new();
    let (certificate, trusted) = match trust {
        Trust::System => (Certificate::Valid, None),
        Trust::Another => (Certificate::Valid, Some(Authority::new().write(directory))),
        Trust::Maker(certificate) => (certificate, Some(maker.write(directory))),
    };
    let front = TlsProxy::start(&maker, certificate, server.address).await;
    let file = trusted.map(|path| ("SSL_CERT_FILE", path.to_str().unwrap().to_owned()));
    (front, file.into_iter().collect())
}

/// Captures one cent. Returns the status, and the number of requests behind TLS.
async fn answered(
    trust: Trust,
    role: Role,
    server: &Identity,
    variables: impl FnOnce(&TlsProxy) -> Variables,
    bearer: &str,
) -> (Answer, usize) {
    let directory = tempfile::tempdir().unwrap();
    let (front, trusted) = front(trust, server, directory.path()).await;
    let stage = Stage::start([variables(&front), trusted].concat()).await;
    let event = act(AUTHORIZED, capture(1));
    let event = if bearer.is_empty() { event } else { with_token(bearer, event) };
    let reply = stage.invoke(&event).await;
    let arrived = server.received(role).len();
    // With an untrusted certificate there is not even a TLS session.
    assert_eq!(front.sessions() > 0, arrived > 0, "{trust:?}: {reply:?}");
    (reply, arrived)
}

#[tokio::test]
async fn a_connector_is_called_only_where_its_certificate_is_trusted() {
    join_all(ALL_OF_THEM.map(async |trust| {
        let identity = Identity::start().await;
        let variables = |front: &TlsProxy| {
            let connectors = connectors(&front.url(""), json!({"type": "none"}));
            vec![("AUTH", "gateway".to_owned()), ("CONNECTORS", connectors)]
        };
        let (reply, arrived) = answered(trust, Role::Connector, &identity, variables, "").await;
        let expected = if trust == GOOD { ((200, ""), 1) } else { ((502, "ConnectorFailed"), 0) };
        assert_eq!((reply.outcome(), arrived), expected, "{trust:?}: {reply:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_connectors_token_is_fetched_only_where_the_certificate_is_trusted() {
    join_all([Trust::System, Trust::Another, GOOD].map(async |trust| {
        let identity = Identity::start().await;
        let token = json!({"access_token": "of-the-token-service", "expires_in": 60}).to_string();
        identity.usually(Role::Tokens, Reply::Says(200, token));
        let variables = |front: &TlsProxy| {
            let authorization = json!({
                "type": "clientCredentials", "tokenUrl": front.url("/token"),
                "clientId": "us", "clientSecret": "of-ours",
            });
            let connectors = connectors(&identity.url(""), authorization);
            vec![("AUTH", "gateway".to_owned()), ("CONNECTORS", connectors)]
        };
        let (reply, arrived) = answered(trust, Role::Tokens, &identity, variables, "").await;
        let called = identity.received(Role::Connector).len();
        let expected =
            if trust == GOOD { ((200, ""), 1, 1) } else { ((502, "ConnectorFailed"), 0, 0) };
        assert_eq!((reply.outcome(), arrived, called), expected, "{trust:?}: {reply:?}");
    }))
    .await;
}

#[tokio::test]
async fn keys_are_fetched_only_where_the_certificate_is_trusted() {
    join_all(ALL_OF_THEM.map(async |trust| {
        let issuer = Issuer::start().await;
        let variables = |front: &TlsProxy| {
            [issuer.variables(), vec![("AUTH_JWKS_URL", front.url("/keys"))]].concat()
        };
        let token = issuer.ec.token(&claims(ALL));
        let identity = &issuer.identity;
        let (reply, arrived) = answered(trust, Role::Keys, identity, variables, &token).await;
        let expected =
            if trust == GOOD { ((200, ""), 1) } else { ((503, "ServiceUnavailable"), 0) };
        assert_eq!((reply.outcome(), arrived), expected, "{trust:?}: {reply:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_token_is_introspected_only_where_the_certificate_is_trusted() {
    join_all(ALL_OF_THEM.map(async |trust| {
        let service = TokenService::start().await;
        let variables = |front: &TlsProxy| {
            let url = ("AUTH_INTROSPECTION_URL", front.url("/introspect"));
            [service.variables(), vec![url]].concat()
        };
        let token = service.grant(ALL);
        let (identity, role) = (&service.identity, Role::Introspection);
        let (reply, arrived) = answered(trust, role, identity, variables, &token).await;
        let expected =
            if trust == GOOD { ((200, ""), 1) } else { ((503, "ServiceUnavailable"), 0) };
        assert_eq!((reply.outcome(), arrived), expected, "{trust:?}: {reply:?}");
    }))
    .await;
}
