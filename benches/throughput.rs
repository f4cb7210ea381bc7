//! The number of actions per second of the local server, over many Payments and over one,
//! compared with the writes that its emulator can do.

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
    reason = "a bench computes with times, prints, and may panic"
)]
#![allow(missing_docs, unreachable_pub, reason = "a bench is not a library")]

mod harness;
#[path = "harness/server.rs"]
mod server;
#[path = "../tests/support/mod.rs"]
mod support;

use futures_util::future::join_all;
use harness::floor::Floor;
use harness::rounds;
use harness::stats::{Sorted, Spread, ms};
use harness::world::{self, ACTIONS_MAX, World};
use payment_intents::payment::PaymentKey;
use server::{Connection, Server};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use uuid::Uuid;

/// The number of simultaneous clients.
const CONNECTIONS: [usize; 4] = [1, 8, 32, 128];

/// The number of actions on each Payment.
const ACTIONS: u64 = 8;

/// The number of clients that act on the same Payment.
const CLIENTS_OF_ONE_PAYMENT: usize = 32;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    // Each client has its own connection.
    let payments = rounds(512, 128);
    let count = rounds(5, 1);
    let hot = rounds(10, 1);
    let server = Server::start(payments * count * CONNECTIONS.len() + hot).await;
    let mut keys = server.payments.clone();
    let world = World::start_on(server.dynamodb.clone()).await;
    let client = world.dynamodb.clone().client();
    let bare = Arc::new(Floor::with(&world, client.clone()).await);
    let mut runs = vec![Vec::new(); CONNECTIONS.len()];
    for _ in 0..count {
        for (connections, runs) in CONNECTIONS.iter().zip(&mut runs) {
            let ours = keys.split_off(keys.len() - payments);
            let others = world::payments(&client, payments).await;
            let clients = client_count(*connections);
            let done = actions(&server, clients, &ours).await;
            let ceiling = writes(&bare, clients, &others).await;
            runs.push((done, ceiling));
        }
    }
    let hot = act_on_one_payment(&server, &keys).await;
    report(&runs, hot);
}

/// A smaller number in a short run: a busy machine cannot answer many in time.
fn client_count(clients: usize) -> usize {
    clients.min(rounds(usize::MAX, 4))
}

/// The result of one run.
#[derive(Clone, Copy)]
struct Run {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Each client acts on its own Payments, one after the other.
async fn actions(server: &Server, connections: usize, payments: &[PaymentKey]) -> Run {
    let started = Instant::now();
    let clients = (0..connections).map(|client| {
        let mine = payments_of(payments, client, connections);
        let url = server.authority.clone();
        tokio::spawn(async move {
            let mut connection = Connection::open(&url).await;
            let mut times = Vec::new();
            for _ in 0..ACTIONS {
                for payment in &mine {
                    let started = Instant::now();
                    assert_eq!(connection.capture(payment).await, 200);
                    times.push(ms(started));
                }
            }
            times
        })
    });
    finished(join_all(clients).await, started)
}

/// The two writes of as many actions, without our code.
async fn writes(bare: &Arc<Floor>, connections: usize, payments: &[PaymentKey]) -> Run {
    let started = Instant::now();
    let clients = (0..connections).map(|client| {
        let mine = payments_of(payments, client, connections);
        let bare = Arc::clone(bare);
        tokio::spawn(async move {
            let mut times = Vec::new();
            for nth in 1..=ACTIONS {
                for payment in &mine {
                    let started = Instant::now();
                    let transaction = Uuid::new_v4().to_string();
                    bare.reserve(payment, &transaction).await;
                    bare.settle(payment, &transaction, nth).await;
                    times.push(ms(started));
                }
            }
            times
        })
    });
    finished(join_all(clients).await, started)
}

fn payments_of(payments: &[PaymentKey], client: usize, clients: usize) -> Vec<PaymentKey> {
    payments.iter().skip(client).step_by(clients).cloned().collect()
}

fn finished(clients: Vec<Result<Vec<f64>, tokio::task::JoinError>>, started: Instant) -> Run {
    let seconds = started.elapsed().as_secs_f64();
    let times: Vec<f64> =
        clients.into_iter().flat_map(|times| times.expect("a client's end")).collect();
    let per_second = times.len() as f64 / seconds;
    let times = Sorted::of(times);
    Run { per_second, p50_ms: times.median(), p99_ms: times.quantile(0.99) }
}

/// All clients act on the same Payment until it is full, then on the next one. Returns the
/// actions per second, and the refusals for each action.
async fn act_on_one_payment(server: &Server, payments: &[PaymentKey]) -> (f64, f64) {
    let done = Arc::new(AtomicUsize::new(0));
    let turned_away = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let clients = (0..client_count(CLIENTS_OF_ONE_PAYMENT)).map(|_| {
        let (done, turned_away) = (Arc::clone(&done), Arc::clone(&turned_away));
        let (payments, url) = (payments.to_vec(), server.authority.clone());
        tokio::spawn(async move {
            let mut connection = Connection::open(&url).await;
            while let Some(payment) = payments.get(done.load(Ordering::SeqCst) / ACTIONS_MAX) {
                match connection.capture(payment).await {
                    200 => done.fetch_add(1, Ordering::SeqCst),
                    // Another client was first, or the last action is still in flight.
                    409 | 400 => turned_away.fetch_add(1, Ordering::SeqCst),
                    other => panic!("{other}"),
                };
            }
        })
    });
    for client in join_all(clients).await {
        client.expect("a client's end");
    }
    let [done, turned_away] = [done, turned_away].map(|count| count.load(Ordering::SeqCst) as f64);
    (done / started.elapsed().as_secs_f64(), turned_away / done)
}

fn report(runs: &[Vec<(Run, Run)>], (hot, turned_away): (f64, f64)) {
    let spread = |runs: &[(Run, Run)], of: fn(&(Run, Run)) -> f64| -> Spread {
        Sorted::of(runs.iter().map(of)).spread()
    };
    let share = |(ours, ceiling): &(Run, Run)| ours.per_second / ceiling.per_second;
    let cell = |runs: &Vec<(Run, Run)>| {
        let rate = spread(runs, |(ours, _)| ours.per_second);
        let [p50, p99] =
            [spread(runs, |(ours, _)| ours.p50_ms), spread(runs, |(ours, _)| ours.p99_ms)];
        let share = spread(runs, share);
        format!("{rate:.0}/s, {:.1} / {:.1} ms, {share:.2}", p50.median, p99.median)
    };
    let heads = CONNECTIONS.map(|n| format!("{n} connection{}", if n == 1 { "" } else { "s" }));
    let mut cells = vec![("throughput", "actions/s, p50 / p99, of the ceiling".to_owned())];
    cells.extend(heads.iter().map(String::as_str).zip(runs.iter().map(cell)));
    let head = format!("{CLIENTS_OF_ONE_PAYMENT} on one Payment");
    cells.push((&head, format!("{hot:.0}/s, {turned_away:.1} turned away for each")));
    harness::row(&cells);
    harness::result(&format!(
        "throughput: 32 connections {:.0} actions/s, {:.2} of the ceiling",
        spread(&runs[2], |(ours, _)| ours.per_second).median,
        spread(&runs[2], share).median
    ));
}
