//! The speed of recovery after an outage. Unknown transactions of three connectors are
//! resolved by look-ups, while one of the connectors hangs.
//!
//! The Payments of the two healthy connectors are settled twice: alone, and together with
//! those of the hanging connector. The difference is the delay that the hanging one causes.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench computes with times, prints, and may panic"
)]
#![allow(missing_docs, unreachable_pub, reason = "a bench is not a library")]

mod harness;
#[path = "../tests/support/http_server.rs"]
mod http_server;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use harness::stats::Sorted;
use harness::world::{TABLE, World, payment};
use harness::{rounds, world};
use http::Response;
use http_body_util::Full;
use http_server::{listen, serve};
use payment_intents::clock::SystemClock;
use payment_intents::connector::{
    Authorization, ConnectorSettings, Connectors, HttpConnector, Platform,
};
use payment_intents::dynamodb::{DynamoStore, to_item};
use payment_intents::local::emulator;
use payment_intents::money::{Currency, Money};
use payment_intents::payment::{
    Action, DirectPsps, Nonce, Payment, Reservation, SETTLE_WINDOW_MS, Timestamp, TransactionId,
};
use payment_intents::ports::{Clock, Lookup, Policy, Store};
use payment_intents::service::Service;
use payment_intents::transport::Transport;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use uuid::Uuid;

/// The time that a look-up takes, in milliseconds.
const LATENCIES_MS: [u64; 3] = [0, 20, 200];

/// The names of the healthy connectors.
const HEALTHY: [&str; 2] = ["adyen", "stripe"];

/// The connector that hangs.
const HANGING: &str = "hanging";

/// The timeout of a connector: the default.
const TIMEOUT_MS: u64 = 20_000;

/// The time of one run.
const RUN_MS: u64 = 58_000;

type TestService = Service<DynamoStore, HttpConnector<SystemClock>, SystemClock>;

fn main() {
    harness::in_logging_process(|| {
        harness::log();
        let world = World::start();
        let servers = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let servers = servers.expect("a runtime");
        let platform = servers.block_on(PlatformServer::start());
        let mut cells = vec![("Payments", count(0).to_string())];
        let mut at_20_ms = None;
        for ms in LATENCIES_MS {
            let figures = Figures::of(&world, &platform, ms);
            let text = format!(
                "{:.0}/s, {:.1} s alone, {:.1} s with the hanging one",
                figures.per_second, figures.alone_s, figures.together_s
            );
            cells.push((["0 ms", "20 ms", "200 ms"][cells.len() - 1], text));
            if ms == 20 {
                at_20_ms = Some(figures);
            }
        }
        harness::row(&cells);
        let Figures { per_second, slowed, .. } = at_20_ms.expect("measured");
        harness::result(&format!(
            "recovery: {per_second:.0}/s at 20 ms, healthy connectors slowed by {slowed:.0} %"
        ));
    });
}

/// The number of Payments of all three connectors; smaller if a look-up takes long.
fn count(latency_ms: u64) -> usize {
    rounds(if latency_ms > 100 { 3_000 } else { 10_000 }, 30)
}

struct Figures {
    per_second: f64,
    alone_s: f64,
    together_s: f64,
    /// In percent.
    slowed: f64,
}

impl Figures {
    fn of(world: &World, platform: &PlatformServer, latency_ms: u64) -> Self {
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        // In turns, so that other load on the machine affects both.
        for _ in 0..rounds(2, 1) {
            alone.push(settled(world, platform, latency_ms, false));
            together.push(settled(world, platform, latency_ms, true));
        }
        let healthy = (count(latency_ms) / 3 * 2) as f64;
        let (alone_s, together_s) = (Sorted::of(alone).median(), Sorted::of(together).median());
        let slowed = (together_s / alone_s - 1.0) * 100.0;
        Self { per_second: healthy / together_s, alone_s, together_s, slowed }
    }
}

/// The seconds until all Payments of the healthy connectors are final.
fn settled(world: &World, platform: &PlatformServer, latency_ms: u64, with_hanging: bool) -> f64 {
    let runtime: Runtime = world::runtime();
    let table = format!("{TABLE}-{}", Uuid::new_v4());
    let client = world.dynamodb.clone().client();
    let each = count(latency_ms) / 3;
    let left = if with_hanging { each } else { 0 };
    platform.prepare(latency_ms, each * HEALTHY.len());
    runtime.block_on(async {
        emulator::ensure_table(&client, &table).await.expect("a table");
        write(&client, &table, &unknown(each, with_hanging)).await;
        let store = DynamoStore::new(client, table);
        let service = platform.service(store.clone());
        let started = Instant::now();
        let final_ones = async {
            platform.all_received.notified().await;
            // The writes after the last look-ups may not have ended yet.
            while store.count_open(SystemClock.now()).await.expect("a count").open > left as u64 {}
            started.elapsed().as_secs_f64()
        };
        let runs = async {
            loop {
                let nonce = || Nonce::new(Uuid::new_v4().as_u128());
                let deadline = SystemClock.now().plus_ms(RUN_MS);
                let run = service.recover(deadline, nonce).await.expect("a run");
                assert_eq!(run.failed, 0, "{run:?}");
            }
        };
        tokio::select! {
            seconds = final_ones => seconds,
            () = runs => unreachable!("it runs until it is dropped"),
        }
    })
}

/// Payments with an Unknown capture, in turns for each connector.
fn unknown(each: usize, with_hanging: bool) -> Vec<Payment> {
    let began = SystemClock.now().minus_ms(SETTLE_WINDOW_MS + 120_000);
    let names = HEALTHY.into_iter().chain(with_hanging.then_some(HANGING));
    let names = names.collect::<Vec<_>>();
    let mut payments = Vec::new();
    for n in 0..each {
        for name in &names {
            payments.push(unknown_payment(name, began.plus_ms(n as u64)));
        }
    }
    payments
}

fn unknown_payment(interface: &str, at: Timestamp) -> Payment {
    let mut payment = payment();
    payment.details.payment_interface = Some(interface.to_owned());
    let eur = Currency::parse("EUR").expect("a currency");
    let reservation = Reservation {
        key: payment.key.clone(),
        transaction: TransactionId::parse("t").expect("an id"),
        nonce: Nonce::new(1),
        action: Action::Capture { amount: Money::new(100, eur).expect("an amount") },
        merchant_reference: None,
        at,
        lease: at.plus_ms(1),
        psps: DirectPsps::default(),
    };
    let reserved = payment.reserve(&reservation).expect("it is admitted");
    reserved.expire(at.plus_ms(2)).expect("its lease has expired")
}

async fn write(client: &Client, table: &str, payments: &[Payment]) {
    for chunk in payments.chunks(25) {
        let put = |payment| PutRequest::builder().set_item(Some(to_item(payment))).build();
        let writes = chunk.iter().map(|payment| {
            WriteRequest::builder().put_request(put(payment).expect("an item")).build()
        });
        let batch = client.batch_write_item().request_items(table, writes.collect());
        let written = batch.send().await.expect("an answer");
        assert!(written.unprocessed_items.unwrap_or_default().is_empty(), "all are written");
    }
}

/// The platform of all three connectors. It answers after some time that each capture
/// succeeded, and never answers for the hanging connector.
struct PlatformServer {
    url: String,
    latency_ms: Arc<AtomicU64>,
    expected: Arc<AtomicUsize>,
    received: Arc<AtomicUsize>,
    all_received: Arc<Notify>,
}

impl PlatformServer {
    async fn start() -> Self {
        let (listener, address) = listen().await;
        let platform = Self {
            url: format!("http://{address}"),
            latency_ms: Arc::default(),
            expected: Arc::default(),
            received: Arc::default(),
            all_received: Arc::default(),
        };
        let (latency_ms, expected) = (platform.latency_ms.clone(), platform.expected.clone());
        let (received, all_received) = (platform.received.clone(), platform.all_received.clone());
        serve(listener, move |request| {
            let (latency_ms, expected) = (latency_ms.clone(), expected.clone());
            let (received, all_received) = (received.clone(), all_received.clone());
            async move {
                if request.uri().path().starts_with(&format!("/{HANGING}/")) {
                    return std::future::pending().await;
                }
                tokio::time::sleep(Duration::from_millis(latency_ms.load(SeqCst))).await;
                if received.fetch_add(1, SeqCst) + 1 == expected.load(SeqCst) {
                    all_received.notify_one();
                }
                let timestamp = OffsetDateTime::now_utc().format(&Rfc3339).expect("a time");
                let transaction = json!({"type": "Charge", "state": "Success",
                    "timestamp": timestamp,
                    "amount": {"centAmount": 100, "currencyCode": "EUR"}});
                let body = json!({"id": "p", "transactions": [transaction]}).to_string();
                Ok(Response::new(Full::from(body)))
            }
        });
        platform
    }

    /// Sets the duration of a look-up, and the expected number of look-ups.
    fn prepare(&self, latency_ms: u64, expected: usize) {
        self.latency_ms.store(latency_ms, SeqCst);
        self.received.store(0, SeqCst);
        self.expected.store(expected, SeqCst);
    }

    fn service(&self, store: DynamoStore) -> TestService {
        let settings = |name: &str| ConnectorSettings {
            url: self.url.parse().expect("a URL"),
            timeout_ms: TIMEOUT_MS,
            authorization: Authorization::None,
            projects: None,
            policy: Policy { lookup: Lookup::Payment, ..Policy::default() },
            platform: Some(Platform {
                url: format!("{}/{name}", self.url).parse().expect("a URL"),
                authorization: Authorization::None,
            }),
            psp: None,
        };
        let names = HEALTHY.into_iter().chain([HANGING]);
        let connectors: Connectors = names.map(|name| (name.to_owned(), settings(name))).collect();
        let transport = Transport::new().expect("the system's roots");
        let connector = HttpConnector::new(connectors, transport, SystemClock);
        Service::new(store, connector, SystemClock)
    }
}
