//! Settings that are read through AWS's extension for secrets, which may answer only after
//! the first event.

use crate::identity::record::secret;
use crate::identity::{Identity, Received, Reply, Role, decoded};
use crate::issuer::ALL;
use crate::service::{TokenService, basic};
use crate::stage::{API, RECOVERY, Stage, Variables, connectors, output_at_exit, with_token};
use crate::support::lambda::events::act;
use crate::support::{AUTHORIZED, capture};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const ARN: &str =
    "arn:aws:secretsmanager:eu-central-1:123456789012:secret:payment-intents/connectors-a1B2c3";
const NAME: &str = "CONNECTORS_SECRET_ARN";

/// The settings of a function whose connectors are a secret.
struct Vault {
    identity: Identity,
    session_token: String,
}

impl Vault {
    async fn start() -> Self {
        Self { identity: Identity::start().await, session_token: secret("session+/=") }
    }

    fn variables(&self) -> Variables {
        vec![
            ("AUTH", "gateway".to_owned()),
            ("CONNECTORS", String::new()),
            ("CONNECTORS_SECRET_ARN", ARN.to_owned()),
            ("AWS_SESSION_TOKEN", self.session_token.clone()),
            ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", self.identity.address.port().to_string()),
        ]
    }

    fn connectors(&self) -> String {
        connectors(&self.identity.url(""), self.authorization())
    }

    fn authorization(&self) -> Value {
        json!({
            "type": "clientCredentials", "tokenUrl": self.identity.url("/token"),
            "clientId": "us", "clientSecret": secret("client-secret"),
        })
    }

    fn received(&self) -> Vec<Received> {
        self.identity.received(Role::Secrets)
    }
}

/// The document of the extension with this secret.
fn holds(value: &str) -> Reply {
    let secret = json!({
        "ARN": ARN, "CreatedDate": 1_795_338_000.125, "Name": "payment-intents/connectors",
        "SecretString": value, "VersionId": "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111",
        "VersionStages": ["AWSCURRENT"], "ResultMetadata": {},
    });
    Reply::Says(200, secret.to_string())
}

fn not_ready() -> Reply {
    Reply::Says(400, "not ready to serve traffic, please wait".to_owned())
}

/// Replies of the extension without a secret.
fn failures() -> Vec<Reply> {
    vec![
        Reply::Says(400, "an unexpected error occurred while executing request".to_owned()),
        Reply::Says(403, "AccessDeniedException".to_owned()),
        Reply::Says(500, String::new()),
        Reply::Says(200, "<html>".to_owned()),
        Reply::Says(200, json!({"SecretBinary": "c2VjcmV0"}).to_string()),
    ]
}

#[tokio::test]
async fn a_secret_that_is_ready_is_read_at_the_start() {
    let vault = Vault::start().await;
    vault.identity.usually(Role::Secrets, holds(&vault.connectors()));
    let token = secret("ours");
    let granted = json!({"access_token": token, "expires_in": 3_600}).to_string();
    vault.identity.usually(Role::Tokens, Reply::Says(200, granted));
    let stage = Stage::start(vault.variables()).await;
    let requests = vault.received();
    assert_eq!(requests.len(), 1);
    let id = requests[0].uri.strip_prefix("/secretsmanager/get?secretId=").unwrap();
    assert_eq!(decoded(id), ARN);
    assert!(!id.contains([':', '/']), "{id}");
    assert_eq!(requests[0].header("x-aws-parameters-secrets-token"), vault.session_token);
    for _ in 0..3 {
        assert_eq!(stage.invoke(&act(AUTHORIZED, capture(1))).await.status, 200);
    }
    assert_eq!(vault.received().len(), 1);
    let shown = vault.identity.received(Role::Connector);
    assert_eq!(shown[0].header("authorization"), format!("Bearer {token}"));
}

#[tokio::test]
async fn a_client_secret_is_read_as_well() {
    let (vault, service) = (Vault::start().await, TokenService::start().await);
    let held = secret("held");
    vault.identity.next(Role::Secrets, not_ready());
    vault.identity.usually(Role::Secrets, holds(&held));
    let own = vec![
        ("CONNECTORS", connectors(&vault.identity.url(""), json!({"type": "none"}))),
        (NAME, String::new()),
        ("AUTH_CLIENT_SECRET", String::new()),
        ("AUTH_CLIENT_SECRET_ARN", "arn:of-the-client".to_owned()),
    ];
    let stage = Stage::start([vault.variables(), service.variables(), own].concat()).await;
    let reply = stage.invoke(&with_token(&service.grant(ALL), act(AUTHORIZED, capture(1)))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let requests = service.identity.received(Role::Introspection);
    let client = (service.client_id.clone(), held);
    assert_eq!(basic(requests[0].header("authorization")), client);
    assert!(
        decoded(&vault.received()[0].uri).ends_with("=arn:of-the-client"),
        "{:?}",
        vault.received()
    );
}

#[tokio::test]
async fn a_secret_that_is_not_ready_is_read_with_the_first_event() {
    // The extension may not even listen yet.
    for not_yet in [not_ready(), Reply::Drop] {
        let vault = Vault::start().await;
        vault.identity.usually(Role::Secrets, not_yet.clone());
        let stage = Stage::start(vault.variables()).await;
        // The secret was requested, and the start did not wait for the reply.
        assert_eq!(vault.received().len(), 1, "{not_yet:?}");
        for _ in 0..3 {
            vault.identity.next(Role::Secrets, not_yet.clone());
        }
        let url = vault.identity.url("");
        vault.identity.usually(Role::Secrets, holds(&connectors(&url, json!({"type": "none"}))));
        for _ in 0..2 {
            assert_eq!(stage.invoke(&act(AUTHORIZED, capture(1))).await.status, 200);
        }
        assert_eq!(vault.received().len(), 5, "{not_yet:?}");
    }
}

#[tokio::test]
async fn without_its_secret_the_answer_is_503_and_the_next_event_requests_it_again() {
    let vault = Vault::start().await;
    vault.identity.usually(Role::Secrets, not_ready());
    let stage = Stage::start(vault.variables()).await;
    let event = act(AUTHORIZED, capture(1));
    let unavailable = (503, "ServiceUnavailable".to_owned(), 0);
    let began = Instant::now();
    assert_eq!(stage.outcome(&event).await, unavailable);
    let took = began.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(5)).contains(&took), "{took:?}");
    // A secret that arrives later is used, even if it is invalid.
    let wrong = ["", "{}", "garbage", r#"{"*":{"url":"http://connector.example"}}"#].map(holds);
    for reply in failures().into_iter().chain(wrong) {
        vault.identity.next(Role::Secrets, reply.clone());
        let answer = stage.invoke(&event).await;
        assert_eq!(answer.outcome(), (503, "ServiceUnavailable"), "{reply:?}: {answer:?}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{reply:?}");
    }
    assert_eq!(stage.dynamodb.calls(), [""; 0]);
    let url = vault.identity.url("");
    vault.identity.usually(Role::Secrets, holds(&connectors(&url, json!({"type": "none"}))));
    let requests = vault.received().len();
    for _ in 0..2 {
        assert_eq!(stage.invoke(&event).await.status, 200);
    }
    assert_eq!(vault.received().len(), requests + 1);
}

/// A lasting error should fail the deployment, not a caller's request.
#[tokio::test]
async fn a_secret_that_cannot_be_read_at_the_start_ends_the_process() {
    let vault = Vault::start().await;
    let table = ("PAYMENTS_TABLE", "payments".to_owned());
    let variables = [vault.variables(), vec![table]].concat();
    for binary in [API, RECOVERY] {
        for reply in failures() {
            vault.identity.next(Role::Secrets, reply.clone());
            let said = output_at_exit(binary, &variables).await;
            assert!(said.contains("CONNECTORS_SECRET_ARN cannot be read"), "{reply:?}: {said}");
            assert!(!said.contains("is missing"), "{reply:?}: {said}");
        }
        for (wrong, expected) in [
            ("", "CONNECTORS_SECRET_ARN names a secret that is empty"),
            ("{}", "CONNECTORS names no connector"),
            ("garbage", "CONNECTORS is not a JSON object"),
        ] {
            vault.identity.next(Role::Secrets, holds(wrong));
            let said = output_at_exit(binary, &variables).await;
            assert!(said.contains(expected), "{wrong:?}: {said}");
        }
    }
}

#[tokio::test]
async fn a_setting_beside_a_secret_for_it_is_refused() {
    let vault = Vault::start().await;
    vault.identity.usually(Role::Secrets, holds(&vault.connectors()));
    let more = vec![
        ("PAYMENTS_TABLE", "payments".to_owned()),
        ("CONNECTORS", vault.connectors()),
        ("AUTH_CLIENT_SECRET", secret("client-secret")),
        ("AUTH_CLIENT_SECRET_ARN", ARN.to_owned()),
        ("AUTH_CLIENT_ID", "us".to_owned()),
        ("AUTH_INTROSPECTION_URL", vault.identity.url("/introspect")),
        ("AUTH", "introspection".to_owned()),
    ];
    let variables = [vault.variables(), more].concat();
    for (binary, expected) in [
        (API, vec!["CONNECTORS and CONNECTORS_SECRET_ARN", "AUTH_CLIENT_SECRET and AUTH_CLIENT_"]),
        (RECOVERY, vec!["CONNECTORS and CONNECTORS_SECRET_ARN"]),
    ] {
        let said = output_at_exit(binary, &variables).await;
        assert!(expected.iter().all(|problem| said.contains(problem)), "{said}");
        assert!(said.contains("are both set"), "{said}");
    }
    // The settings contradict each other whatever the extension replies.
    for reply in [not_ready(), Reply::Says(500, String::new())] {
        vault.identity.usually(Role::Secrets, reply);
        let said = output_at_exit(API, &variables).await;
        assert!(said.contains("CONNECTORS and CONNECTORS_SECRET_ARN are both set"), "{said}");
    }
}

#[tokio::test]
async fn recovery_reads_its_secret_as_the_api_does() {
    let vault = Vault::start().await;
    let good = holds(&connectors(&vault.identity.url(""), json!({"type": "none"})));
    vault.identity.next(Role::Secrets, not_ready());
    let stage = Stage::of(RECOVERY, vault.variables()).await;
    let run = async || {
        let posted = stage.function.invoke(20_000, "{}".to_owned()).await;
        posted.expect("the process goes on")
    };
    vault.identity.next(Role::Secrets, Reply::Says(500, String::new()));
    let report = String::from_utf8(run().await.unwrap_err().to_vec()).unwrap();
    assert!(report.contains("CONNECTORS_SECRET_ARN cannot be read"), "{report}");
    assert_eq!(stage.dynamodb.calls(), [""; 0]);
    vault.identity.next(Role::Secrets, not_ready());
    vault.identity.usually(Role::Secrets, good.clone());
    for _ in 0..2 {
        run().await.unwrap();
        assert!(!stage.dynamodb.calls().is_empty());
    }
    assert_eq!(vault.received().len(), 4);
    // The same with a secret that is ready at once.
    let vault = Vault::start().await;
    vault.identity.usually(Role::Secrets, good);
    let stage = Stage::of(RECOVERY, vault.variables()).await;
    stage.function.invoke(20_000, "{}".to_owned()).await.unwrap().unwrap();
    assert_eq!(vault.received().len(), 1);
}
