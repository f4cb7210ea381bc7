//! Logs, metrics and settings, with the built binaries.

use crate::platform::{Function, Reply, Role, ScriptedServer, TestClock, outcome};
use crate::support::dynamo::{connection, table_at};
use crate::support::lambda::events::{act, header};
use crate::support::payments::{self, capture, key, nonce, registered, reservation};
use crate::support::{self, AUTHORIZED, CAPTURED, Server, with_reference};
use payment_intents::clock::SystemClock;
use payment_intents::payment::{Payment, Reservation};
use payment_intents::ports::{Clock, Store};
use serde_json::{Value, json};

const API: &str = env!("CARGO_BIN_EXE_payment-intents");
const RECOVERY: &str = env!("CARGO_BIN_EXE_recovery");

/// A table, and the variables of both functions.
struct Deployment {
    table: crate::support::dynamo::Table,
    url: String,
    server: ScriptedServer,
}

impl Deployment {
    async fn new() -> Self {
        let dynamodb = connection().await;
        let url = dynamodb.endpoint_url.clone().unwrap();
        let server = ScriptedServer::start(TestClock::at(SystemClock.now())).await;
        Self { table: table_at(dynamodb).await, url, server }
    }

    /// `keyed`, `shows` and `dead` have connectors of their own. Every other interface has
    /// one that is not trusted.
    async fn function(&self, binary: &str) -> Function {
        let url = &self.server.url;
        let authorization = json!({
            "type": "clientCredentials", "tokenUrl": format!("{url}/token"),
            "clientId": "us", "clientSecret": "tell-tale-secret",
        });
        let connectors = json!({
            "*": {"url": url, "rejected": "unproven", "authorization": {"type": "forward"}},
            "keyed": {"url": url, "resend": "sameKey"},
            "dead": {"url": "http://127.0.0.1:1"},
            "shows": {"url": url, "lookup": "payment",
                      "platform": {"url": url, "authorization": authorization}},
        });
        let variables = [
            ("PAYMENTS_TABLE", self.table.name.as_str()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.url.as_str()),
            ("CONNECTORS", &connectors.to_string()),
        ];
        Function::start(binary, &variables).await
    }

    async fn register(&self, id: &str, interface: &str) {
        let mut payment: Payment = registered(id, payments::AUTHORIZED);
        payment.details.payment_interface = Some(interface.to_owned());
        self.table.store.create(&payment).await.unwrap();
    }

    /// An invocation that died this long ago, between its two writes.
    async fn crash(&self, id: &str, ms_ago: u64) {
        let now = SystemClock.now().minus_ms(ms_ago);
        let asked = reservation("t", nonce().bits(), capture(60), now);
        let reference = Some("tell-tale-reference".to_owned());
        let asked = Reservation {
            key: key(id),
            merchant_reference: reference,
            lease: now.plus_ms(1),
            ..asked
        };
        self.table.store.reserve(&asked).await.unwrap();
    }
}

/// The metrics of a line in CloudWatch's embedded format, by name: each is
/// declared, and a number at the root.
fn metrics(line: &Value) -> Option<Vec<(&str, u64)>> {
    let directive = &line.get("_aws")?["CloudWatchMetrics"][0];
    assert!(line["_aws"]["Timestamp"].is_u64(), "{line}");
    assert_eq!(directive["Namespace"], "PaymentIntents");
    for dimension in directive["Dimensions"][0].as_array().unwrap() {
        assert!(line[dimension.as_str().unwrap()].is_string(), "{line}");
    }
    let declared = directive["Metrics"].as_array().unwrap().iter();
    let names = declared.map(|metric| metric["Name"].as_str().unwrap());
    Some(names.map(|name| (name, line[name].as_u64().unwrap())).collect())
}

fn said<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["message"] == message).collect()
}

fn assert_discreet(lines: &[Value]) {
    assert!(!lines.is_empty());
    for line in lines {
        let text = line.to_string();
        assert!(!text.contains("tell-tale"), "{text}");
        // The tokens of the token service are secret as well.
        assert!(!text.contains("token-1"), "{text}");
    }
}

#[tokio::test]
async fn a_run_of_recovery_is_reported_measured_and_logged() {
    let deployment = Deployment::new().await;
    for (payment, interface, ms_ago) in
        [("again", "keyed", 1_000), ("shown", "shows", 400_000), ("opaque", "*", 500_000)]
    {
        deployment.register(payment, interface).await;
        deployment.crash(payment, ms_ago).await;
    }
    let body = json!({"transactions": "tell-tale-body"}).to_string();
    deployment.server.next(Role::Platform, Reply::Says(200, body));
    let recovery = deployment.function(RECOVERY).await;
    let report = recovery.invoke(&json!({})).await;
    let (oldest_ms, due_ms) = (&report["oldestUnknownMs"], &report["oldestDueMs"]);
    let connector = |name: &str, resolved: u64| {
        let due_ms = &report["connectors"][name]["oldestDueMs"];
        json!({"due": 1, "resolved": resolved, "leftOut": 0, "oldestDueMs": due_ms})
    };
    let connectors = json!({"*": connector("*", 0), "keyed": connector("keyed", 1), "shows": connector("shows", 0)});
    let expected = json!({"payments": 3, "open": 2, "unknown": 2, "resolved": 1, "failed": 0,
        "leftOut": 0, "oldestDueMs": due_ms, "oldestUnknownMs": oldest_ms, "isCutShort": false,
        "connectors": connectors});
    assert_eq!(report, expected);
    assert_eq!(report["connectors"]["*"]["oldestDueMs"], *due_ms);
    let (oldest_ms, due_ms) = (oldest_ms.as_u64().unwrap(), due_ms.as_u64().unwrap());
    assert!((500_000..600_000).contains(&oldest_ms), "{report}");

    let lines = recovery.lines().await;
    let measured: Vec<_> = lines.iter().filter_map(metrics).collect();
    let run = [
        ("OldestDuePayment", due_ms),
        ("OldestUnknownTransaction", oldest_ms),
        ("ResolvedTransactions", 1),
        ("UnreadablePayments", 0),
        ("LeftOutPayments", 0),
        ("RunsCutShort", 0),
    ];
    assert!(measured.contains(&vec![("OpenPayments", 3), ("DuePayments", 3)]), "{measured:?}");
    let of_keyed = lines.iter().find(|line| line["Connector"] == "keyed").unwrap();
    assert_eq!(
        (&of_keyed["DuePayments"], &of_keyed["ResolvedTransactions"]),
        (&json!(1), &json!(1))
    );
    assert!(measured.contains(&run.to_vec()), "{measured:?}");
    assert_eq!(said(&lines, "a lease ran out before its transaction was settled").len(), 3);
    let changed = said(&lines, "a transaction changed its state");
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(
        (&changed[0]["payment"], &changed[0]["to"]),
        (&json!("again"), &json!("Some(Success)"))
    );
    let sent = said(&lines, "a call to the connector ended");
    assert_eq!((sent.len(), &sent[0]["attempt"]), (1, &json!(2)));
    let asked = "the state of a transaction could not be looked up on the platform";
    assert_eq!(said(&lines, asked).len(), 1);
    let looked = said(&lines, "recovery looked at the due transactions");
    assert_eq!((&looked[0]["unknown"], &looked[0]["resolved"]), (&json!(2), &json!(1)));
    assert_discreet(&lines);
}

#[tokio::test]
async fn a_call_is_measured_and_logged_with_its_causes_and_without_secrets() {
    let deployment = Deployment::new().await;
    for (payment, interface) in [("p", "*"), ("unreached", "dead"), ("keyed", "keyed")] {
        deployment.register(payment, interface).await;
    }
    let api = deployment.function(API).await;
    let mut asked = 0;
    let mut invoke = async |payment: &str| {
        asked += 1;
        let event = act(payment, with_reference(support::capture(10), "tell-tale-reference"));
        let event = header(event, "authorization", "Bearer tell-tale-token");
        let event = header(event, "x-correlation-id", format!("order-{asked}"));
        let event = header(event, "idempotency-key", format!("tell-tale-key-{asked}"));
        api.invoke(&event).await["statusCode"].as_u64().unwrap()
    };
    assert_eq!(invoke("p").await, 200);
    // Reported by a connector whose `rejected` proves nothing.
    deployment.server.next(Role::Connector, outcome("rejected"));
    assert_eq!(invoke("p").await, 500);
    deployment.server.next(Role::Connector, Reply::Drop);
    assert_eq!(invoke("keyed").await, 500);
    assert_eq!(invoke("unreached").await, 502);
    let forwarded = deployment.server.received(Role::Connector);
    assert_eq!(forwarded[0].header("authorization"), "Bearer tell-tale-token");

    let lines = api.lines().await;
    let calls = said(&lines, "a call to the connector ended");
    let outcomes = [
        ("approved", "Approved", ""),
        ("unknown", "RejectedWithoutProof", ""),
        ("unknown", "Unknown", "connection"),
        ("neverExecuted", "NeverExecuted", "refused"),
    ];
    let with =
        |name: &str| lines.iter().filter(|line| line.get(name).is_some()).collect::<Vec<_>>();
    let (measured, acted) = (with("ConnectorCalls"), with("Actions"));
    assert_eq!((calls.len(), measured.len(), acted.len()), (4, 4, 4));
    assert_eq!(with("ColdStarts").len(), 1);
    lines.iter().for_each(assert_complete);
    for (line, outcome) in acted.into_iter().zip(["approved", "unknown", "unknown", "failed"]) {
        assert_eq!((&line["Actions"], &line["Outcome"]), (&json!(1), &json!(outcome)));
        assert_eq!(line["Conflicts"], 0);
        let time = |name: &str| line[name].as_u64().unwrap();
        assert!(time("ReserveTime") + time("SettleTime") <= time("ActionTime"), "{line}");
    }
    for (n, (dimension, outcome, cause)) in outcomes.into_iter().enumerate() {
        let (call, line) = (calls[n], measured[n]);
        assert_eq!((&line["ConnectorCalls"], &line["Outcome"]), (&json!(1), &json!(dimension)));
        assert!(line["ConnectorTime"].is_u64(), "{line}");
        assert_eq!(
            (&call["outcome"], &call["action"]),
            (&json!(outcome), &json!("capturePayment"))
        );
        assert_eq!(call["correlation_id"], format!("order-{}", n + 1));
        let error = call["error"].as_str().unwrap_or_default();
        assert!(error.to_lowercase().contains(cause), "{call}");
    }
    assert_eq!(said(&lines, "a transaction changed its state").len(), 4);
    assert_discreet(&lines);
}

/// A line of metrics contains every metric and dimension that it declares.
fn assert_complete(line: &Value) {
    let directives = line["_aws"]["CloudWatchMetrics"].as_array();
    for directive in directives.into_iter().flatten() {
        assert_eq!(directive["Namespace"], "PaymentIntents");
        let metrics = directive["Metrics"].as_array().unwrap().iter();
        let named = metrics.map(|metric| metric["Name"].as_str().unwrap());
        let dimensions = directive["Dimensions"][0].as_array().unwrap().iter();
        let named = named.chain(dimensions.map(|dimension| dimension.as_str().unwrap()));
        named.for_each(|name| assert!(line.get(name).is_some(), "{name} of {line}"));
    }
}

/// Each row: the settings, the second of two requests, and the number of effects.
#[tokio::test]
async fn a_repeat_is_recognised_by_its_correlation_id_where_that_is_configured() {
    const BY_ID: &[(&str, &str)] = &[("REPEAT_DETECTION", "correlation-id")];
    let first = (AUTHORIZED, support::capture(1_000), "order-1");
    let rows = [
        (BY_ID, first.clone(), 1),
        (BY_ID, (AUTHORIZED, support::capture(1_001), "order-1"), 2),
        (BY_ID, (AUTHORIZED, with_reference(support::capture(1_000), "inv-7"), "order-1"), 2),
        (BY_ID, (AUTHORIZED, support::capture(1_000), "order-2"), 2),
        (BY_ID, (CAPTURED, support::refund(1_000), "order-1"), 2),
        (&[("REPEAT_DETECTION", "key")], first.clone(), 2),
        (&[], first.clone(), 2),
    ];
    for (variables, second, effects) in rows {
        let server = Server::with(&[], variables).await;
        let mut replies = Vec::new();
        for (payment, action, correlation_id) in [first.clone(), second.clone()] {
            let headers = [("x-correlation-id", correlation_id)];
            let reply = server.act(payment, action, &headers).await;
            assert_eq!((reply.status, &reply.body), (200, &json!({})), "{second:?}");
            replies.push(reply);
        }
        let done = server.effects(AUTHORIZED).await.len() + server.effects(CAPTURED).await.len();
        assert_eq!(done, effects, "{variables:?} {second:?}");
        let ids: Vec<_> = replies.iter().map(|reply| reply.header("x-transaction-id")).collect();
        assert_eq!(ids[0] == ids[1], effects == 1);
        let replayed = replies[1].header("idempotent-replayed");
        assert_eq!(replayed, (effects == 1).then_some("true"), "{second:?}");
    }
}
