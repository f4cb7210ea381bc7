//! Look-ups on the platform: their times, their requests, and the conclusions.

use crate::platform::world::{
    APPROVED, MINUTE, SHOWS, SHOWS_ALL, UNTRUSTED_SHOWS, UNTRUSTED_SHOWS_ALL, World,
};
use crate::platform::{Reply, Role, ScriptedServer, TestClock, shown, token, transaction};
use crate::support::payments::{AUTHORIZED, at, capture, eur, id, key, registered, reservation};
use futures_util::future::join_all;
use payment_intents::connector::{Connectors, HttpConnector};
use payment_intents::error::BoxError;
use payment_intents::payment::{Outcome, Report, Settlement, State, Timestamp, TransactionKind};
use payment_intents::ports::{Clock, Connector, ConnectorKey, Policy, Store};
use payment_intents::transport::Transport;
use serde_json::{Value, json};

fn charge(state: &str, amount: u64, at: Timestamp) -> Value {
    transaction("Charge", state, (amount, "EUR"), at)
}

#[tokio::test]
async fn an_outcome_is_looked_up_six_minutes_after_it_became_unclear_and_not_before() {
    for crashed in [false, true] {
        let world = World::new(SHOWS_ALL).await;
        let mut unclear_since = world.clock.now();
        if crashed {
            world.crash("p", "t", capture(60)).await;
            unclear_since = unclear_since.plus_ms(33_000);
        } else {
            world.lose("t", capture(60)).await;
        }
        for minute in 1..=5 {
            world.clock.set(unclear_since.plus_ms(minute * MINUTE));
            world.recover().await;
        }
        world.clock.set(unclear_since.plus_ms(6 * MINUTE - 1));
        world.recover().await;
        assert_eq!(world.server.received(Role::Platform).len(), 0);
        assert_eq!(world.state("t").await, Some(State::Unknown));
        world.clock.advance(1);
        assert_eq!(world.recover().await.resolved, 1);
        assert_eq!(world.server.received(Role::Platform).len(), 1);
        assert_eq!(world.state("t").await, Some(State::Failure));
        assert_eq!(world.payment().await.balances.capturable, eur(100));
    }
}

#[tokio::test]
async fn a_look_up_settles_only_outcomes_that_it_proves() {
    let now = at(60 * MINUTE);
    let (soon, before) = (now.plus_ms(1_000), now.minus_ms(30_001));
    let ours = |state| vec![charge(state, 60, soon)];
    let other = |kind, amount| vec![transaction(kind, "Success", amount, soon)];
    let mut untimed = ours("Success");
    untimed[0].as_object_mut().unwrap().remove("timestamp");
    let rows = [
        // The transactions shown; the conclusion where absence proves nothing, and where it
        // does.
        (ours("Success"), State::Success, State::Success),
        (ours("Pending"), State::Pending, State::Pending),
        (ours("Initial"), State::Unknown, State::Unknown),
        (ours("Failure"), State::Failure, State::Failure),
        (vec![], State::Unknown, State::Failure),
        (vec![charge("Success", 60, now.minus_ms(30_000))], State::Success, State::Success),
        // By our clock it is too early to be ours, but no other transaction matches.
        (vec![charge("Success", 60, before)], State::Unknown, State::Unknown),
        (vec![charge("Failure", 60, before)], State::Unknown, State::Failure),
        (untimed, State::Unknown, State::Unknown),
        ([ours("Failure"), ours("Success")].concat(), State::Success, State::Success),
        (other("Charge", (59, "EUR")), State::Unknown, State::Failure),
        (other("Charge", (60, "USD")), State::Unknown, State::Failure),
        (other("Refund", (60, "EUR")), State::Unknown, State::Failure),
        (other("Authorization", (60, "EUR")), State::Unknown, State::Failure),
    ];
    for (seen, unproven, proven) in rows {
        let failed = seen == ours("Failure");
        // A Failure of an untrusted connector proves nothing.
        let of_untrusted = |state| if failed { State::Unknown } else { state };
        for (policy, expected) in [
            (SHOWS, unproven),
            (SHOWS_ALL, proven),
            (UNTRUSTED_SHOWS, of_untrusted(unproven)),
            (UNTRUSTED_SHOWS_ALL, of_untrusted(proven)),
        ] {
            let world = World::new(policy.clone()).await;
            world.lose("t", capture(60)).await;
            world.server.usually(Role::Platform, shown(&seen));
            world.clock.advance(6 * MINUTE);
            world.recover().await;
            assert_eq!(world.state("t").await, Some(expected), "{policy:?}: {seen:?}");
            let free = if expected == State::Failure { 100 } else { 40 };
            assert_eq!(world.payment().await.balances.capturable, eur(free), "{seen:?}");
            assert_eq!(world.sent(), ["t"]);
        }
    }
}

/// The fate of one of our transactions.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Approved,
    Lost,
    /// Its answer is lost, and a look-up proves that it did not happen.
    Disproved,
    /// In flight at the time of the look-up.
    InFlight,
}

/// A capture of 30, this many milliseconds after the beginning.
type Ours<'a> = &'a [(u64, Fate)];
/// The transactions that the platform shows.
type Theirs<'a> = &'a [(u64, &'a str)];

/// The state of each transaction, after a look-up six minutes after the last one.
async fn looked_up(policy: Policy, ours: Ours<'_>, theirs: Theirs<'_>) -> Vec<State> {
    let world = World::new(policy.clone()).await;
    let began = world.clock.now();
    for (n, (ms, fate)) in ours.iter().enumerate() {
        world.clock.set(began.plus_ms(*ms));
        let transaction = format!("t{n}");
        match fate {
            Fate::Approved => {
                assert_eq!(world.act(&transaction, capture(30)).await.unwrap(), APPROVED);
            }
            Fate::Lost => world.lose(&transaction, capture(30)).await,
            Fate::InFlight => world.crash("p", &transaction, capture(30)).await,
            Fate::Disproved => {
                world.lose(&transaction, capture(30)).await;
                world.clock.advance(6 * MINUTE);
                world.recover().await;
                assert_eq!(world.state(&transaction).await, Some(State::Failure));
            }
        }
    }
    if !matches!(ours.last(), Some((_, Fate::InFlight))) {
        world.clock.advance(6 * MINUTE);
    }
    let theirs = theirs.iter().map(|(ms, state)| charge(state, 30, began.plus_ms(*ms)));
    world.server.usually(Role::Platform, shown(&theirs.collect::<Vec<_>>()));
    world.recover().await;
    let payment = world.payment().await;
    (0..ours.len()).map(|n| payment.transactions[&id(&format!("t{n}"))].state).collect()
}

#[tokio::test]
async fn a_shown_effect_of_another_transaction_does_not_settle_the_open_one() {
    use Fate::{Approved, Disproved, InFlight, Lost};
    use State::{Failure, Initial, Pending, Success, Unknown};
    const SEEN: u64 = 6 * MINUTE;
    const HOUR: u64 = 60 * MINUTE;
    let both: Ours<'_> = &[(0, Lost), (MINUTE, Lost)];
    let at_once: Ours<'_> = &[(0, Approved), (2, Lost)];
    let soon: Ours<'_> = &[(0, Approved), (9_000, Lost)];
    let later: Ours<'_> = &[(0, Approved), (HOUR, Lost)];
    let now_another: Ours<'_> = &[(0, Lost), (SEEN, InFlight)];
    let rows: &[(Policy, Ours<'_>, Theirs<'_>, [State; 2])] = &[
        (SHOWS, at_once, &[(0, "Success")], [Success, Unknown]),
        (SHOWS, at_once, &[(0, "Success"), (2, "Success")], [Success, Success]),
        (SHOWS_ALL, at_once, &[(0, "Success")], [Success, Failure]),
        (SHOWS, soon, &[(0, "Success"), (9_000, "Success")], [Success, Success]),
        (SHOWS_ALL, soon, &[(0, "Success"), (9_000, "Success")], [Success, Success]),
        (SHOWS_ALL, soon, &[(0, "Success")], [Success, Failure]),
        (SHOWS, later, &[(0, "Success"), (HOUR, "Success")], [Success, Success]),
        (SHOWS_ALL, later, &[(0, "Success"), (HOUR, "Success")], [Success, Success]),
        (SHOWS_ALL, later, &[(0, "Success")], [Success, Failure]),
        // Of two open ones, the shown one is the one that began before it, and last.
        (SHOWS, both, &[(1, "Success")], [Success, Unknown]),
        (SHOWS, both, &[(1, "Pending")], [Pending, Unknown]),
        (SHOWS, both, &[(MINUTE, "Success")], [Unknown, Success]),
        (SHOWS, both, &[(1, "Success"), (MINUTE, "Success")], [Success, Success]),
        // If the latest is looked up first, it cannot be told apart, and stays open.
        (SHOWS_ALL, both, &[(1, "Success")], [Success, Unknown]),
        (SHOWS_ALL, both, &[(MINUTE, "Success")], [Failure, Success]),
        (SHOWS_ALL, both, &[(1, "Failure"), (MINUTE, "Success")], [Failure, Success]),
        (SHOWS, &[(0, Lost), (2, Approved)], &[(1, "Pending"), (3, "Success")], [Pending, Success]),
        // The shown transaction may be the one in flight.
        (SHOWS, now_another, &[(SEEN, "Success")], [Unknown, Initial]),
        (SHOWS, now_another, &[(SEEN, "Failure")], [Unknown, Initial]),
        // An absent one is not matched to what an untrusted connector shows.
        (
            UNTRUSTED_SHOWS_ALL,
            &[(0, Disproved), (HOUR, Lost)],
            &[(HOUR, "Failure")],
            [Failure, Unknown],
        ),
    ];
    let mut wrong = Vec::new();
    for (policy, ours, theirs, expected) in rows {
        let states = looked_up(policy.clone(), ours, theirs).await;
        if states != expected {
            let Policy { rejected, absence, .. } = policy;
            wrong.push(format!(
                "{ours:?}, {theirs:?}, rejected {rejected:?}, absence {absence:?}: \
                 {states:?} instead of {expected:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A PaymentDraft may have transactions without a timestamp.
#[tokio::test]
async fn a_registered_charge_does_not_take_the_effect_of_a_later_capture() {
    for policy in [SHOWS_ALL, SHOWS] {
        let world = World::new(policy.clone()).await;
        let past = [AUTHORIZED[0], (TransactionKind::Charge, State::Success, 30)];
        world.table.store.create(&registered("q", &past)).await.unwrap();
        world.server.next(Role::Connector, Reply::Drop);
        world.act_on("q", "t", capture(30)).await.unwrap_err();
        let theirs = [at(0).minus_ms(60 * MINUTE), world.clock.now()];
        let theirs = theirs.map(|at| charge("Success", 30, at));
        world.server.usually(Role::Platform, shown(&theirs));
        world.clock.advance(6 * MINUTE);
        world.recover().await;
        let payment = world.table.store.get(&key("q")).await.unwrap().unwrap();
        assert_eq!(payment.transactions[&id("t")].state, State::Success, "{policy:?}");
    }
}

#[tokio::test]
async fn a_look_up_is_discarded_when_the_payment_changed_meanwhile() {
    let world = World::new(SHOWS_ALL).await;
    world.lose("t", capture(30)).await;
    world.clock.advance(6 * MINUTE);
    let (service, now) = (world.table.store.clone(), world.clock.now());
    // The shown transaction belongs to the other one, which is settled later.
    world.server.usually(Role::Platform, shown(&[charge("Success", 30, now)]));
    world.server.during(async move {
        let asked = reservation("other", 1, capture(30), now);
        let held = service.reserve(&asked).await.unwrap();
        let settled = held.settle(&id("other"), &asked.nonce, Outcome::Approved, now);
        let Ok(Settlement::Changed(next)) = settled else { unreachable!("{settled:?}") };
        service.replace(&held, &next).await.unwrap();
    });
    assert_eq!(world.recover().await.unknown, 1);
    assert_eq!(world.state("other").await, Some(State::Success));
    assert_eq!(world.state("t").await, Some(State::Unknown));
    assert_eq!(world.payment().await.balances.captured, eur(30));
}

#[tokio::test]
async fn a_failed_look_up_proves_nothing() {
    let payment = |transactions: Value| {
        Reply::Says(200, json!({"id": "p", "transactions": transactions}).to_string())
    };
    let odd = |name: &str, value: Value| {
        let mut odd = charge("Failure", 60, at(60 * MINUTE));
        odd[name] = value;
        payment(json!([odd]))
    };
    let negative = json!({"centAmount": -60, "currencyCode": "EUR"});
    let fraction = json!({"centAmount": 60.5, "currencyCode": "EUR"});
    for (role, reply) in [
        (Role::Platform, Reply::Says(500, "{}".to_owned())),
        (Role::Platform, Reply::Says(404, "{}".to_owned())),
        (Role::Platform, Reply::Says(403, r#"{"transactions":[]}"#.to_owned())),
        (Role::Platform, Reply::Says(204, String::new())),
        (Role::Platform, Reply::Says(200, "<html>".to_owned())),
        (Role::Platform, Reply::Says(200, "{}".to_owned())),
        (Role::Platform, Reply::Says(200, r#"{"transactions":["#.to_owned())),
        (Role::Platform, payment(Value::Null)),
        (Role::Platform, payment(json!({}))),
        (Role::Platform, odd("type", json!("Void"))),
        (Role::Platform, odd("state", json!("Done"))),
        (Role::Platform, odd("timestamp", json!("yesterday"))),
        (Role::Platform, odd("amount", negative)),
        (Role::Platform, odd("amount", fraction)),
        (Role::Platform, Reply::Drop),
        (Role::Platform, Reply::Silence),
        (Role::Tokens, Reply::Says(401, "{}".to_owned())),
        (Role::Tokens, Reply::Says(200, "{}".to_owned())),
    ] {
        let world = World::new(SHOWS_ALL).await;
        world.lose("t", capture(60)).await;
        world.clock.advance(6 * MINUTE);
        world.server.next(role, reply.clone());
        let report = world.recover_within(5_300).await;
        assert_eq!((report.unknown, report.failed), (1, 0), "{reply:?}");
        assert_eq!(world.state("t").await, Some(State::Unknown), "{reply:?}");
        assert_eq!(world.payment().await.balances.capturable, eur(40), "{reply:?}");
        let asked = world.server.received(Role::Platform).len();
        assert_eq!(asked, usize::from(matches!(role, Role::Platform)), "{reply:?}");
        // The platform is asked again.
        world.clock.advance(2 * MINUTE);
        assert_eq!(world.recover().await.resolved, 1, "{reply:?}");
    }
}

/// All look-ups share the time of the invocation; `timeoutMs` is 500.
#[tokio::test]
async fn a_platform_that_is_silent_does_not_use_up_the_time_of_a_run() {
    let world = World::new(SHOWS_ALL).await;
    world.crashes(3).await;
    world.clock.advance(33_000 + 6 * MINUTE);
    world.server.next(Role::Platform, Reply::Silence);
    let run =
        tokio::time::timeout(std::time::Duration::from_secs(10), world.recover_within(60_000));
    let report = run.await.map_err(|_| "it waits for the first one until the end");
    assert_eq!(report.map(|report| (report.unknown, report.resolved)), Ok((1, 2)));
}

/// commercetools does not require a timestamp of a transaction.
#[tokio::test]
async fn another_transaction_without_a_time_does_not_hide_ours() {
    let world = World::new(SHOWS).await;
    world.lose("t", capture(60)).await;
    let mut authorization = transaction("Authorization", "Success", (100, "EUR"), at(0));
    authorization.as_object_mut().unwrap().remove("timestamp");
    let ours = charge("Success", 60, world.clock.now());
    world.server.usually(Role::Platform, shown(&[authorization, ours]));
    world.clock.advance(6 * MINUTE);
    world.recover().await;
    assert_eq!(world.state("t").await, Some(State::Success));
}

/// Runs only the look-ups.
struct Reader {
    connector: HttpConnector<TestClock>,
    clock: TestClock,
    server: ScriptedServer,
}

impl Reader {
    async fn new() -> Self {
        let clock = TestClock::at(at(0));
        let server = ScriptedServer::start(clock.clone()).await;
        let connectors = Connectors::from([("*".to_owned(), server.settings(SHOWS))]);
        let connector = HttpConnector::new(connectors, Transport::new().unwrap(), clock.clone());
        Self { connector, clock, server }
    }

    async fn look_up(&self) -> Result<Vec<Report>, BoxError> {
        let connector = ConnectorKey {
            payment: key("p"),
            payment_interface: None,
            interface_id: None,
            fraction_digits: 2,
        };
        let payment = registered("p", AUTHORIZED);
        let open = payment.transactions.values().next().unwrap();
        self.connector.look_up(&connector, open, self.clock.now().plus_ms(5_000)).await
    }

    /// The tokens that the platform received, in order.
    fn presented(&self) -> Vec<String> {
        let asked = self.server.received(Role::Platform);
        asked.iter().map(|asked| asked.header("authorization").to_owned()).collect()
    }
}

#[tokio::test]
async fn a_token_is_fetched_with_client_credentials_and_kept_until_shortly_before_it_expires() {
    let reader = Reader::new().await;
    reader.server.next(Role::Tokens, token(1, 3_600));
    for (second, expected) in [(0, 1), (1, 1), (3_539, 1), (3_540, 2), (3_541, 2)] {
        reader.clock.set(at(second * 1_000));
        reader.look_up().await.unwrap();
        let presented = reader.presented();
        assert_eq!(presented.last().unwrap(), &format!("Bearer token-{expected}"), "{second} s");
        assert_eq!(reader.server.received(Role::Tokens).len(), expected, "{second} s");
    }
    for asked in reader.server.received(Role::Tokens) {
        // `shop%3A1%20%C3%BC:s%2Fe%2Bc%3Dret`
        let basic = "Basic c2hvcCUzQTElMjAlQzMlQkM6cyUyRmUlMkJjJTNEcmV0";
        assert_eq!(asked.header("authorization"), basic);
        assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
        assert_eq!(asked.body, "grant_type=client_credentials&scope=view_payments%3Ademo");
    }
}

#[tokio::test]
async fn parallel_callers_fetch_one_token() {
    let reader = Reader::new().await;
    for seen in join_all((0..10).map(|_| reader.look_up())).await {
        assert_eq!(seen.unwrap(), []);
    }
    assert_eq!(reader.server.received(Role::Tokens).len(), 1);
    assert_eq!(reader.presented(), ["Bearer token-1"; 10]);
}

#[tokio::test]
async fn a_refused_token_is_not_sent_again() {
    let reader = Reader::new().await;
    reader.server.next(Role::Platform, Reply::Says(401, "{}".to_owned()));
    reader.look_up().await.unwrap_err();
    reader.look_up().await.unwrap();
    assert_eq!(reader.presented(), ["Bearer token-1", "Bearer token-2"]);
    // Another error does not mean that the token is invalid.
    reader.server.next(Role::Platform, Reply::Says(403, "{}".to_owned()));
    reader.look_up().await.unwrap_err();
    reader.look_up().await.unwrap();
    assert_eq!(reader.presented()[2..], ["Bearer token-2"; 2]);
}
