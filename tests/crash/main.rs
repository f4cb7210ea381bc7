//! Real processes under `kill -9`: two of the Lambda and one of recovery on one table,
//! clients that repeat requests, two sandbox PSPs, one of which honours keys, and a Stripe
//! and an Adyen that are called directly and fail now and then. Nothing is lost, and nothing
//! happens twice.
//!
//! `CRASH_SECONDS=N` is the time in which processes are killed (30). `CRASH_SEED=N` repeats
//! the choices of an earlier run, as far as timing allows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic fails the test")]
#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, too")]
#![allow(unreachable_pub, reason = "the modules belong to one suite")]

mod adyen;
mod audit;
mod clients;
#[path = "../support/mod.rs"]
mod support;

use audit::Audit;
use clients::{Clients, Interface};
use payment_intents::clock::SystemClock;
use payment_intents::dynamodb::DynamoStore;
use payment_intents::http::file_drafts;
use payment_intents::local::adyen::AdyenSandbox;
use payment_intents::local::emulator;
use payment_intents::local::sandbox::Sandbox;
use payment_intents::local::stripe::{StripeFault, StripeSandbox};
use payment_intents::payment::{Payment, PaymentId, PaymentKey, ProjectKey, State};
use payment_intents::ports::{Clock, Name, Store};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::dynamo::{Fault, Shim};
use support::lambda::function::Function;
use support::random::Random;
use tokio::time::{sleep, timeout};

/// The time of an invocation of the Lambda. A lease lasts 5 s longer.
const DEADLINE_MS: u64 = 6_000;

/// The time of an invocation of recovery, which begins nothing in its last 5 s.
const RECOVERY_DEADLINE_MS: u64 = 8_000;

/// The time of recovery after the last kill.
const QUIET: Duration = Duration::from_secs(20);

const PAYMENTS: u64 = 48;
const CLIENTS: u64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn killed_processes_lose_nothing_and_do_nothing_twice() {
    let killing = Duration::from_secs(variable("CRASH_SECONDS").unwrap_or(30));
    let seed = variable("CRASH_SEED").unwrap_or_else(|| SystemClock.now().ms());
    say(&format!("crash: seed {seed}, {} s", killing.as_secs()));
    let directory = tempfile::tempdir().unwrap();
    let world = Arc::new(World::start(directory.path(), seed).await);
    let until = Instant::now() + killing;

    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (world, random) = (Arc::clone(&world), Random::new(seed, number));
            tokio::spawn(async move { world.clients.work(&world.lambdas, random, until).await })
        })
        .collect();
    let recovery = tokio::spawn(recover(Arc::clone(&world), until));
    tokio::spawn(lose_answers_of_the_table(Arc::clone(&world), Random::new(seed, 100)));
    tokio::spawn(fail_at_stripe(Arc::clone(&world), Random::new(seed, 103), until));
    tokio::spawn(adyen::fail(Arc::clone(&world), Random::new(seed, 104), until));
    let webhooks = tokio::spawn(adyen::deliver(Arc::clone(&world), Random::new(seed, 105), until));
    let kills = kill(&world, Random::new(seed, 101), until).await;

    for client in clients {
        client.await.unwrap();
    }
    let recovered = recovery.await.unwrap();
    let undelivered = webhooks.await.unwrap();
    let audit = Audit::of(&world).await;
    let leases = leases_ran_out(directory.path());
    say(&format!(
        "crash: {kills} kills, {leases} leases ran out, {recovered} recovered, {} actions, {}",
        audit.actions,
        audit.summary()
    ));
    if !audit.findings().is_empty() {
        panic!("{}\nThe logs are in {:?}.", audit.findings(), directory.keep());
    }
    assert_eq!(undelivered, 0, "each webhook is accepted in the end");
    let was_cut = leases > 0 || killing < Duration::from_secs(20);
    assert!(audit.effects > 0 && was_cut, "that was no test");
}

/// The processes, the table and the PSPs.
struct World {
    lambdas: [Function; 2],
    recovery: Function,
    clients: Clients,
    honours_keys: Sandbox,
    knows_no_keys: Sandbox,
    stripe: StripeSandbox,
    adyen: AdyenSandbox,
    store: DynamoStore,
    table: Shim,
}

impl World {
    async fn start(directory: &Path, seed: u64) -> Self {
        let emulator = emulator::start(Some(&directory.join("payments.db"))).await.unwrap();
        let client = emulator.clone().client();
        emulator::ensure_table(&client, "payments").await.unwrap();
        let store = DynamoStore::new(client, "payments".to_owned());
        let honours_keys = Sandbox::start_honouring_keys().await.unwrap();
        let knows_no_keys = Sandbox::start().await.unwrap();
        let stripe = StripeSandbox::start().await.unwrap();
        let adyen = AdyenSandbox::start().await.unwrap();
        let mut adyen_entry = adyen.entry();
        adyen_entry["multicapture"] = json!(true);
        let table = Shim::start(&emulator.endpoint_url.unwrap()).await;
        let connectors = json!({
            Interface::HonoursKeys.name():
                {"url": honours_keys.url().to_string(), "resend": "sameKey"},
            Interface::KnowsNoKeys.name():
                {"url": knows_no_keys.url().to_string(), "resend": "never"},
            Interface::Stripe.name(): stripe.entry(),
            Interface::Adyen.name(): adyen_entry,
        });
        let environment = [
            ("PAYMENTS_TABLE", "payments".to_owned()),
            ("CONNECTORS", connectors.to_string()),
            ("AUTH", "gateway".to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", table.url.clone()),
        ];
        let lambda = env!("CARGO_BIN_EXE_payment-intents");
        let recovery = env!("CARGO_BIN_EXE_recovery");
        let start = |binary, log| Function::start(binary, &environment, directory.join(log));
        let world = Self {
            lambdas: [start(lambda, "lambda-1.log").await, start(lambda, "lambda-2.log").await],
            recovery: start(recovery, "recovery.log").await,
            clients: Clients::default(),
            honours_keys,
            knows_no_keys,
            stripe,
            adyen,
            store,
            table,
        };
        world.authorize_payments(Random::new(seed, 102)).await;
        world
    }

    async fn authorize_payments(&self, mut random: Random) {
        let now = SystemClock.now();
        let draft = |number| {
            let amount =
                json!({"centAmount": 10_000 + random.below(100_000), "currencyCode": "EUR"});
            let interface = Interface::of(number).name();
            json!({
                "id": payment_id(number),
                "interfaceId": psp_id(number),
                "amountPlanned": amount,
                "paymentMethodInfo": {"paymentInterface": interface},
                "transactions": [{"type": "Authorization", "state": "Success", "amount": amount}],
            })
        };
        let drafts = Value::from((0..PAYMENTS).map(draft).collect::<Vec<_>>()).to_string();
        for draft in file_drafts(&drafts, &key(0).project, now).unwrap() {
            let payment = Payment::register(draft.registration, now).unwrap();
            let amount = payment.balances.authorized.minor_units();
            let id = payment.details.interface_id.clone().unwrap();
            self.stripe.authorize(&id, amount, "eur", false);
            self.adyen.authorize(&id, amount, "EUR", true);
            // Webhooks find the Payment by this name.
            let name = Name::InterfaceId(id);
            self.store.claim(&payment.key, &name, now).await.unwrap();
            self.store.create(&payment).await.unwrap();
        }
    }

    /// The Payment with that number, as it is now.
    async fn payment(&self, number: u64) -> Payment {
        self.store.get(&key(number)).await.unwrap().unwrap()
    }

    /// True if recovery or a webhook can still resolve something in the Payment now.
    async fn is_recoverable(&self, number: u64) -> bool {
        let payment = self.payment(number).await;
        let resolvable = Interface::of(number) != Interface::KnowsNoKeys;
        payment.in_flight.is_some()
            || payment.open_transactions().any(|open| match open.state {
                State::Initial => true,
                State::Unknown => resolvable,
                State::Pending => Interface::of(number) == Interface::Adyen,
                State::Success | State::Failure => false,
            })
    }

    async fn is_settled(&self) -> bool {
        for number in 0..PAYMENTS {
            if self.is_recoverable(number).await {
                return false;
            }
        }
        self.clients.are_all_told()
    }
}

fn payment_id(number: u64) -> String {
    format!("payment-{number}")
}

/// The PSP's id of the Payment of that number.
fn psp_id(number: u64) -> String {
    match Interface::of(number) {
        Interface::Adyen => format!("PAYMENT{number}"),
        Interface::Stripe | Interface::HonoursKeys | Interface::KnowsNoKeys => {
            format!("pi_{number}")
        }
    }
}

fn key(number: u64) -> PaymentKey {
    PaymentKey {
        project: ProjectKey::parse("demo").unwrap(),
        id: PaymentId::parse(&payment_id(number)).unwrap(),
    }
}

/// Kills one process after the other, most often shortly after it got an event.
async fn kill(world: &World, mut random: Random, until: Instant) -> u64 {
    let victims = [&world.lambdas[0], &world.lambdas[1], &world.recovery];
    let mut kills = 0;
    while Instant::now() < until {
        sleep(Duration::from_millis(random.below(250))).await;
        let victim = random.one_of(&victims);
        let _ = timeout(Duration::from_secs(1), victim.handed_out.notified()).await;
        sleep(Duration::from_millis(random.below(30))).await;
        victim.crash().await;
        kills += 1;
    }
    kills
}

/// Runs recovery until nothing is left to resolve, or until its time is up. Returns the
/// number of resolved transactions.
async fn recover(world: Arc<World>, killed_until: Instant) -> u64 {
    let mut resolved = 0;
    while Instant::now() < killed_until || !world.is_settled().await {
        if let Some(Ok(report)) = world.recovery.invoke(RECOVERY_DEADLINE_MS, "{}".to_owned()).await
        {
            let report: Value = serde_json::from_slice(&report).unwrap();
            resolved += report["resolved"].as_u64().unwrap();
        }
        if Instant::now() > killed_until + QUIET {
            break;
        }
        sleep(Duration::from_millis(500)).await;
    }
    resolved
}

/// Loses some writes to the table, or only their answers.
async fn lose_answers_of_the_table(world: Arc<World>, mut random: Random) {
    loop {
        sleep(Duration::from_millis(random.below(200))).await;
        world.table.plan(&[random.one_of(&[Fault::LostAnswer, Fault::Lost])]);
    }
}

/// Lets calls to Stripe fail now and then: it acts without an answer or with an error, does
/// not get the request, is slow, or is busy.
async fn fail_at_stripe(world: Arc<World>, mut random: Random, until: Instant) {
    while Instant::now() < until {
        sleep(Duration::from_millis(random.below(300))).await;
        let fault = random.one_of(&[
            StripeFault::LostAnswer,
            StripeFault::LostRequest,
            StripeFault::ErrorAfterActing,
            StripeFault::RateLimited,
            StripeFault::Slow(300),
        ]);
        if !world.stripe.has_plan() {
            world.stripe.plan(&[fault]);
        }
    }
}

/// The number of processes that were killed between the two writes of a transaction, from
/// the logs of the others.
fn leases_ran_out(directory: &Path) -> usize {
    let log = |name| std::fs::read_to_string(directory.join(name)).unwrap();
    let logs = ["lambda-1.log", "lambda-2.log", "recovery.log"].map(log).concat();
    logs.matches("a lease ran out").count()
}

fn variable(name: &str) -> Option<u64> {
    #[allow(clippy::disallowed_methods, reason = "says how long the suite runs")]
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Prints past the test harness, which shows the output of failed tests only.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}
