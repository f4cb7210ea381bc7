//! Tokens for connectors: our own, which is fetched first, or the caller's.

use crate::identity::record::{remember, secret};
use crate::identity::{Identity, Reply, Role};
use crate::issuer::{ALL, Issuer, claims};
use crate::service::basic;
use crate::stage::{Stage, connectors};
use crate::support::clock::TestClock;
use crate::support::lambda::events::{act, header};
use crate::support::{AUTHORIZED, capture};
use payment_intents::clock::SystemClock;
use payment_intents::connector::{
    Authorization, ClientCredentials, ConnectorSettings, Connectors, HttpConnector,
};
use payment_intents::money::{Currency, Money};
use payment_intents::payment::{
    Action, PaymentId, PaymentKey, ProjectKey, Timestamp, TransactionId,
};
use payment_intents::ports::{Call, Clock, Connector, ConnectorError, ConnectorKey, Policy};
use payment_intents::secret::Secret;
use payment_intents::transport::Transport;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The time of a call to the connector, the token included.
const TIMEOUT_MS: u64 = 1_000;

/// The answer of the token endpoint (RFC 6749, 5.1).
fn granted(token: &str, life_s: impl Into<Value>) -> Reply {
    let granted =
        json!({"access_token": token, "token_type": "Bearer", "expires_in": life_s.into()});
    Reply::Says(200, granted.to_string())
}

/// The tokens that the connector received, in order.
fn shown(identity: &Identity) -> Vec<String> {
    let requests = identity.received(Role::Connector);
    requests.iter().map(|request| request.header("authorization").to_owned()).collect()
}

fn fetches(identity: &Identity) -> usize {
    identity.received(Role::Tokens).len()
}

/// A function behind a gateway that fetches a token for its connector.
async fn with_client_credentials(identity: &Identity) -> Stage {
    let authorization = json!({
        "type": "clientCredentials", "tokenUrl": identity.url("/token"),
        "clientId": "us", "clientSecret": secret("client-secret"),
    });
    let settings =
        json!({"url": identity.url(""), "timeoutMs": TIMEOUT_MS, "authorization": authorization});
    let connectors = json!({ "*": settings }).to_string();
    Stage::start(vec![("AUTH", "gateway".to_owned()), ("CONNECTORS", connectors)]).await
}

/// Captures the whole amount, as a caller with a token.
fn capture_all() -> Value {
    let event = act(AUTHORIZED, capture(10_000));
    header(event, "authorization", format!("Bearer {}", secret("caller")))
}

#[tokio::test]
async fn our_own_token_is_fetched_once_and_sent_with_each_call() {
    let identity = Identity::start().await;
    let stage = with_client_credentials(&identity).await;
    let token = secret("ours");
    identity.next(Role::Tokens, granted(&token, 3_600));
    for _ in 0..5 {
        assert_eq!(stage.invoke(&act(AUTHORIZED, capture(1))).await.status, 200);
    }
    assert_eq!(shown(&identity), vec![format!("Bearer {token}"); 5]);
    assert_eq!(fetches(&identity), 1);
    assert_eq!(basic(identity.received(Role::Tokens)[0].header("authorization")).0, "us");
}

#[tokio::test]
async fn a_refused_token_is_not_sent_again_and_the_hold_is_released() {
    let identity = Identity::start().await;
    let stage = with_client_credentials(&identity).await;
    let (refused, new) = (secret("refused"), secret("new"));
    identity.next(Role::Tokens, granted(&refused, 3_600));
    identity.next(Role::Tokens, granted(&new, 3_600));
    identity.next(Role::Connector, Reply::Says(401, "{}".to_owned()));
    let reply = stage.invoke(&capture_all()).await;
    assert_eq!(reply.outcome(), (502, "ConnectorFailed"), "{reply:?}");
    assert_eq!(stage.transactions().await, ["Authorization Success 10000"]);
    assert_eq!(fetches(&identity), 1);
    // The same amount again: the hold was released.
    assert_eq!(stage.invoke(&capture_all()).await.status, 200);
    assert_eq!(shown(&identity), [format!("Bearer {refused}"), format!("Bearer {new}")]);
    assert_eq!(fetches(&identity), 2);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_to_the_connector_and_the_hold_is_released() {
    let identity = Identity::start().await;
    let stage = with_client_credentials(&identity).await;
    let token = secret("ours");
    let good = json!({"access_token": token, "expires_in": 3_600}).to_string();
    let says = |body: &str| Reply::Says(200, body.to_owned());
    let replies = [
        Reply::Silence,
        Reply::Drop,
        Reply::Redirect(identity.url("/elsewhere")),
        Reply::Says(400, json!({"error": "invalid_client"}).to_string()),
        Reply::Says(401, good.clone()),
        Reply::Says(500, good.clone()),
        says(""),
        says("<html>"),
        says("{}"),
        says(r#"{"access_token":7}"#),
        says(&good[..good.len() - 1]),
        says(&format!("{good}{}", " ".repeat(64 * 1024))),
        // A token that no header can contain.
        granted(&(remember("the-token-with-a-") + "\u{7}"), 0),
    ];
    let count = replies.len();
    for reply in replies {
        identity.next(Role::Tokens, reply.clone());
        let began = Instant::now();
        let answer = stage.invoke(&capture_all()).await;
        assert_eq!(answer.outcome(), (502, "ConnectorFailed"), "{reply:?}: {answer:?}");
        assert!(began.elapsed() < Duration::from_secs(3), "{reply:?}: {:?}", began.elapsed());
        assert_eq!(stage.transactions().await, ["Authorization Success 10000"], "{reply:?}");
    }
    assert!(shown(&identity).is_empty() && identity.received(Role::Elsewhere).is_empty());
    identity.next(Role::Tokens, granted(&token, 3_600));
    assert_eq!(stage.invoke(&capture_all()).await.status, 200);
    assert_eq!((fetches(&identity), shown(&identity).len()), (count + 1, 1));
}

#[tokio::test]
async fn the_callers_token_is_forwarded_only_where_that_is_configured() {
    let issuer = Issuer::start().await;
    for authorization in ["forward", "none"] {
        let url = issuer.identity.url("");
        let connectors = connectors(&url, json!({"type": authorization}));
        let variables = [issuer.variables(), vec![("CONNECTORS", connectors)]].concat();
        let stage = Stage::start(variables).await;
        let token = issuer.ec.token(&claims(ALL));
        assert_eq!(stage.capture(&token).await.status, 200);
        let expected =
            if authorization == "forward" { format!("Bearer {token}") } else { "".into() };
        assert_eq!(shown(&issuer.identity).last().unwrap(), &expected);
    }
}

fn connector<K: Clock>(identity: &Identity, clock: K) -> HttpConnector<K> {
    let credentials = ClientCredentials {
        token_url: identity.url("/token").parse().unwrap(),
        client_id: "us".to_owned(),
        client_secret: Secret::new("secret".to_owned()),
        scope: None,
    };
    let settings = ConnectorSettings {
        url: identity.url("").parse().unwrap(),
        timeout_ms: TIMEOUT_MS,
        authorization: Authorization::ClientCredentials(credentials),
        projects: None,
        policy: Policy::default(),
        platform: None,
        psp: None,
    };
    let connectors = Connectors::from([("*".to_owned(), settings)]);
    HttpConnector::new(connectors, Transport::new().unwrap(), clock)
}

fn call() -> Call {
    let amount = Money::new(1, Currency::parse("EUR").unwrap()).unwrap();
    let key = PaymentKey {
        project: ProjectKey::parse("demo").unwrap(),
        id: PaymentId::parse("p").unwrap(),
    };
    Call {
        connector: ConnectorKey {
            payment: key,
            payment_interface: None,
            interface_id: None,
            fraction_digits: 2,
        },
        transaction: TransactionId::parse("t").unwrap(),
        attempt: 1,
        action: Action::Capture { amount },
        amount,
        has_rest: false,
        fraction_digits: 2,
        merchant_reference: None,
        correlation_id: "c".to_owned(),
        bearer: None,
    }
}

#[tokio::test]
async fn a_token_is_renewed_a_minute_before_it_expires_or_after_half_of_a_short_lifetime() {
    for (life_s, used_ms) in [
        (json!(3_600), 3_540_000),
        (json!(121), 61_000),
        (json!(120), 60_000),
        (json!(60), 30_000),
        (json!(1), 500),
        (json!(0), 0_u64),
        // A token without `expires_in` is used for five minutes.
        (Value::Null, 240_000),
    ] {
        let identity = Identity::start().await;
        let clock = TestClock::at(Timestamp::from_ms(1_795_338_000_000));
        let (connector, start) = (connector(&identity, clock.clone()), clock.now());
        identity.next(Role::Tokens, granted("first", life_s.clone()));
        identity.usually(Role::Tokens, granted("second", 3_600));
        for ms in [0, used_ms.saturating_sub(1), used_ms] {
            clock.set(start.plus_ms(ms));
            connector.call(&call(), clock.now().plus_ms(5_000)).await.unwrap();
        }
        let middle = if used_ms == 0 { "Bearer second" } else { "Bearer first" };
        assert_eq!(shown(&identity), ["Bearer first", middle, "Bearer second"], "{life_s}");
    }
}

#[tokio::test]
async fn parallel_calls_fetch_one_token_and_one_more_after_a_refusal() {
    let identity = Identity::start().await;
    let connector = connector(&identity, SystemClock);
    let deadline = SystemClock.now().plus_ms(20_000);
    for number in 1..=2 {
        let body = json!({"access_token": format!("token-{number}"), "expires_in": 3_600});
        identity.next(Role::Tokens, Reply::Late(100, 200, body.to_string()));
    }
    let at_once = async || {
        let (one, other) = (call(), call());
        tokio::join!(connector.call(&one, deadline), connector.call(&other, deadline))
    };
    let (one, other) = at_once().await;
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(shown(&identity), ["Bearer token-1"; 2]);
    for _ in 0..2 {
        identity.next(Role::Connector, Reply::Says(401, "{}".to_owned()));
    }
    let (one, other) = at_once().await;
    for refused in [one, other] {
        assert!(matches!(refused, Err(ConnectorError::NotActed { .. })), "{refused:?}");
    }
    let (one, other) = at_once().await;
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(shown(&identity)[4..], ["Bearer token-2"; 2]);
    assert_eq!((fetches(&identity), identity.most_simultaneous(Role::Tokens)), (2, 1));
}

/// A caller that waits for another caller's token request keeps its own deadline.
#[tokio::test]
async fn a_hanging_token_service_delays_no_call_past_its_own_deadline() {
    let identity = Identity::start().await;
    identity.usually(Role::Tokens, Reply::Silence);
    let connector = connector(&identity, SystemClock);
    let after = async |ms: u64| {
        sleep(Duration::from_millis(ms)).await;
        let began = Instant::now();
        let called = connector.call(&call(), SystemClock.now().plus_ms(20_000)).await;
        assert!(matches!(called, Err(ConnectorError::NotReached(_))), "{called:?}");
        let took_ms = began.elapsed().as_millis();
        assert!((900..1_600).contains(&took_ms), "{took_ms} ms");
    };
    tokio::join!(after(0), after(100), after(200));
    assert!(shown(&identity).is_empty());
}
