//! The start of a function: it opens the connections that the first event needs, sends no
//! request on them, and does not wait for servers that are silent.

use crate::identity::record::secret;
use crate::stage::Stage;
use crate::support::lambda::events::event;
use serde_json::json;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// The time within which a client that connects would send its request.
const SILENCE: Duration = Duration::from_millis(300);

/// A server that accepts connections and reads what arrives.
struct Callee(TcpListener);

impl Callee {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.0.local_addr().unwrap())
    }

    async fn caller(&self) -> TcpStream {
        timeout(SILENCE, self.0.accept()).await.expect("a client connects").unwrap().0
    }
}

#[tokio::test]
async fn connections_are_opened_before_the_first_event_without_a_request() {
    let [connector, tokens, introspection] =
        [Callee::start().await, Callee::start().await, Callee::start().await];
    let authorization = json!({"type": "clientCredentials", "tokenUrl": tokens.url("http"),
        "clientId": "us", "clientSecret": secret("client-secret")});
    let connectors = json!({"*": {"url": connector.url("http"), "authorization": authorization}});
    let stage = Stage::start(vec![
        ("AUTH", "introspection".to_owned()),
        ("AUTH_INTROSPECTION_URL", introspection.url("http")),
        ("AUTH_CLIENT_ID", "us".to_owned()),
        ("AUTH_CLIENT_SECRET", secret("introspection-secret")),
        ("CONNECTORS", connectors.to_string()),
    ])
    .await;
    assert_eq!(stage.dynamodb.openings(), 1);
    assert_eq!(stage.dynamodb.calls(), [""; 0]);
    for callee in [connector, tokens, introspection] {
        let caller = callee.caller().await;
        sleep(SILENCE).await;
        let read = caller.try_read(&mut [0; 1]);
        assert_eq!(read.unwrap_err().kind(), ErrorKind::WouldBlock, "{}", callee.url("http"));
    }
}

/// The server accepts the connection, and does not speak TLS.
#[tokio::test]
async fn a_silent_connector_does_not_delay_the_start() {
    let connector = Callee::start().await;
    let connectors = json!({"*": {"url": connector.url("https")}}).to_string();
    let variables = vec![("AUTH", "gateway".to_owned()), ("CONNECTORS", connectors)];
    let stage = Stage::start(variables).await;
    let _held = connector.caller().await;
    assert_eq!(stage.invoke(&event("get-payment")).await.status, 200);
}
