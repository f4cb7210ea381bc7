//! Settings that are read through AWS's extension for secrets, which may answer only after
//! the first event.

use crate::identity::record::secret;
use crate::identity::{Identity, Received, Reply, Role, decoded};
use crate::issuer::ALL;
use crate::service::{TokenService, basic};
use crate::stage::{API, RECOVERY, Stage, Variables, connectors, output_at_exit, with_token};
use crate::support::lambda::events::act;
use crate::support::{AUTHORIZED, capture};
use payment_intents::config::Config;
use payment_intents::payment::Timestamp;
use payment_intents::secrets_manager::{Renewed, Secrets};
use payment_intents::transport::Transport;
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

/// The number of readings of a secret that stays wrong, within this time.
fn readings_at_most(elapsed: Duration) -> usize {
    1 + usize::try_from(elapsed.as_secs() / 10).unwrap()
}

#[tokio::test]
async fn a_rotated_client_secret_is_used_after_the_token_service_refused_the_old_one() {
    let (vault, service) = (Vault::start().await, TokenService::start().await);
    let [old, new] = ["old", "new"].map(secret);
    vault.identity.usually(Role::Secrets, holds(&old));
    let own = vec![
        ("CONNECTORS", connectors(&vault.identity.url(""), json!({"type": "none"}))),
        (NAME, String::new()),
        ("AUTH_CLIENT_SECRET", String::new()),
        ("AUTH_CLIENT_SECRET_ARN", "arn:of-the-client".to_owned()),
    ];
    let stage = Stage::start([vault.variables(), service.variables(), own].concat()).await;
    let act = async || {
        let event = with_token(&service.grant(ALL), act(AUTHORIZED, capture(1)));
        let status = stage.invoke(&event).await.status;
        let requests = service.identity.received(Role::Introspection);
        (status, basic(requests.last().unwrap().header("authorization")).1)
    };
    assert_eq!(act().await, (200, old.clone()));
    vault.identity.usually(Role::Secrets, holds(&new));
    // The old secret is still accepted, so that nothing is read again.
    assert_eq!(act().await, (200, old.clone()));
    assert_eq!(vault.received().len(), 1);
    service.identity.next(Role::Introspection, Reply::Says(401, "{}".to_owned()));
    assert_eq!(act().await, (503, old));
    assert_eq!(act().await, (200, new.clone()));
    assert_eq!(vault.received().len(), 2);
    // A secret that stays wrong is not read with each event.
    let (began, readings) = (Instant::now(), vault.received().len());
    for _ in 0..6 {
        service.identity.next(Role::Introspection, Reply::Says(401, "{}".to_owned()));
        assert_eq!(act().await, (503, new.clone()));
    }
    let repeated = vault.received().len() - readings;
    assert!(repeated <= readings_at_most(began.elapsed()), "{repeated} readings");
}

#[tokio::test]
async fn rotated_connectors_are_used_after_their_token_service_refused_the_old_secret() {
    let vault = Vault::start().await;
    let connectors_with = |client_secret: &str| {
        let mut authorization = vault.authorization();
        authorization["clientSecret"] = json!(client_secret);
        holds(&connectors(&vault.identity.url(""), authorization))
    };
    let [old, new] = ["old", "new"].map(secret);
    vault.identity.usually(Role::Secrets, connectors_with(&old));
    let stage = Stage::start(vault.variables()).await;
    vault.identity.usually(Role::Secrets, connectors_with(&new));
    vault.identity.usually(Role::Tokens, Reply::Says(401, "{}".to_owned()));
    let event = act(AUTHORIZED, capture(1));
    // The first event still has the old secret, and all others the new one.
    let began = Instant::now();
    for _ in 0..4 {
        assert_eq!(stage.invoke(&event).await.status, 502);
    }
    let sent = vault.identity.received(Role::Tokens);
    let used: Vec<_> = sent.iter().map(|one| basic(one.header("authorization")).1).collect();
    assert_eq!(used.iter().collect::<Vec<_>>(), [&old, &new, &new, &new]);
    let granted = json!({"access_token": secret("ours"), "expires_in": 3_600}).to_string();
    vault.identity.usually(Role::Tokens, Reply::Says(200, granted));
    assert_eq!(stage.invoke(&event).await.status, 200);
    assert!(vault.received().len() <= 1 + readings_at_most(began.elapsed()));
}

/// As in the functions, at times that the test gives.
#[tokio::test]
async fn a_rotated_secret_is_used_within_5_minutes_and_an_invalid_one_is_not() {
    const MINUTE_MS: u64 = 60_000;
    let vault = Vault::start().await;
    let at = |host: &str| holds(&connectors(&format!("https://{host}"), json!({"type": "none"})));
    let common = [
        ("PAYMENTS_TABLE", "payments"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let common = common.map(|(name, value)| (name, value.to_owned()));
    let variables = [vault.variables(), common.to_vec()].concat();
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone())
    };
    let build = |secrets: &Secrets| {
        let config = Config::read(variable, secrets)?;
        Ok(config.backend.connectors["*"].url.host().unwrap().to_owned())
    };
    let renewed = Renewed::new(variable, Transport::new().unwrap(), build);
    let get = async |ms: u64| {
        let value = renewed.get(Timestamp::from_ms(ms), |_| false).await.unwrap();
        (value.to_string(), vault.received().len())
    };
    vault.identity.usually(Role::Secrets, at("first"));
    assert_eq!(get(0).await, ("first".to_owned(), 1));
    vault.identity.usually(Role::Secrets, at("second"));
    assert_eq!(get(4 * MINUTE_MS - 1).await, ("first".to_owned(), 1));
    assert_eq!(get(4 * MINUTE_MS).await, ("second".to_owned(), 2));
    assert_eq!(get(4 * MINUTE_MS).await, ("second".to_owned(), 2));
    vault.identity.usually(Role::Secrets, holds("garbage"));
    assert_eq!(get(8 * MINUTE_MS).await, ("second".to_owned(), 3));
    // A reading that fails is repeated after 10 s.
    for (reading, reply) in failures().into_iter().chain([not_ready(), Reply::Drop]).enumerate() {
        vault.identity.usually(Role::Secrets, reply);
        let ms = 12 * MINUTE_MS + 10_000 * u64::try_from(reading).unwrap();
        assert_eq!(get(ms).await, ("second".to_owned(), 4 + reading));
        assert_eq!(get(ms + 9_999).await, ("second".to_owned(), 4 + reading));
    }
    vault.identity.usually(Role::Secrets, at("third"));
    assert_eq!(get(14 * MINUTE_MS).await, ("third".to_owned(), 11));
}
