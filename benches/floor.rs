//! The duration of an action compared with the floor: two bare `UpdateItem`s of the same
//! content and one bare POST, by the same clients.

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

use harness::floor::Floor;
use harness::stats::{Pair, Sorted, bare, micros, ours, ratios};
use harness::world::{self, RealApi, World};
use harness::{plot, rounds};
use payment_intents::payment::PaymentKey;
use std::fs;
use std::time::Instant;
use tokio::runtime::Runtime;

fn main() {
    harness::in_logging_process(|| {
        harness::log();
        let world = World::start();
        let runtime = world::runtime();
        let client = world.dynamodb.clone().client();
        let api = world.api(&client);
        let mut floor = runtime.block_on(Floor::record(&world));
        let (count, per_round) = (rounds(20, 1), rounds(250, 10));
        // The first actions open connections, and are not measured.
        let warm = runtime.block_on(world::payments(&client, per_round));
        latencies(&runtime, &api, &mut floor, &warm);
        let mut times = Vec::new();
        let mut costs = Vec::new();
        for _ in 0..count {
            let payments = runtime.block_on(world::payments(&client, per_round * 2));
            times.push(latencies(&runtime, &api, &mut floor, &payments));
            let payments = runtime.block_on(world::payments(&client, per_round));
            costs.push(cost(&runtime, &api, &mut floor, &payments));
        }
        report(&times, &costs);
    });
}

/// Measures both in alternating order. In microseconds.
fn latencies(runtime: &Runtime, api: &RealApi, bare: &mut Floor, payments: &[PaymentKey]) -> Pair {
    let mut pair = Pair::default();
    for (turn, two) in payments.chunks_exact(2).enumerate() {
        let event = world::event(&two[0]);
        for ours in [turn % 2 == 0, turn % 2 == 1] {
            let started = Instant::now();
            if ours {
                let answer = runtime.block_on(world::handle(api, &event));
                pair.ours.push(micros(started));
                assert!(world::is_approved(&answer), "{answer}");
            } else {
                runtime.block_on(bare.act(&two[1], 1));
                pair.floor.push(micros(started));
            }
        }
    }
    pair
}

/// The average CPU time of one action.
#[derive(Clone, Copy, Default)]
struct Cost {
    cpu_us: f64,
    allocations: f64,
    bytes: f64,
}

/// All actions, then all of the floor: the scheduler counts CPU time in larger units than
/// one action.
fn cost(
    runtime: &Runtime,
    api: &RealApi,
    bare: &mut Floor,
    payments: &[PaymentKey],
) -> (Cost, Cost) {
    let (first, second) = payments.split_at(payments.len() / 2);
    let events: Vec<_> = first.iter().map(world::event).collect();
    let ours = costs(events.len(), || {
        runtime.block_on(async {
            for event in &events {
                world::handle(api, event).await;
            }
        });
    });
    let floor = costs(second.len(), || {
        runtime.block_on(async {
            for payment in second {
                bare.act(payment, 1).await;
            }
        });
    });
    (ours, floor)
}

fn costs(actions: usize, work: impl FnOnce()) -> Cost {
    let before = cpu_us();
    let counted = allocation_counter::measure(work);
    let each = |total: f64| total / actions as f64;
    Cost {
        cpu_us: each(cpu_us() - before),
        allocations: each(counted.count_total as f64),
        bytes: each(counted.bytes_total as f64),
    }
}

/// The CPU time of this thread. 0 if the system does not provide it.
fn cpu_us() -> f64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = told.split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
    ns.unwrap_or_default() / 1_000.0
}

fn report(times: &[Pair], costs: &[(Cost, Cost)]) {
    let (p50, p99) = (ratios(times, 0.5).spread(), ratios(times, 0.99).spread());
    let at =
        |part| format!("{:.0} / {:.0}", ours(times).quantile(part), bare(times).quantile(part));
    let both = |of: fn(&Cost) -> f64| {
        let ours = Sorted::of(costs.iter().map(|(ours, _)| of(ours))).median();
        let floor = Sorted::of(costs.iter().map(|(_, floor)| of(floor))).median();
        format!("{ours:.0} / {floor:.0}")
    };
    harness::row(&[
        ("action / floor", format!("{} × {}", times.len(), times[0].ours.len())),
        ("p50", format!("{p50} ×")),
        ("p99", format!("{p99} ×")),
        ("p50, µs", at(0.5)),
        ("p99, µs", at(0.99)),
        ("CPU, µs", both(|cost| cost.cpu_us)),
        ("allocations", both(|cost| cost.allocations)),
        ("allocated, bytes", both(|cost| cost.bytes)),
    ]);
    plot::keep_floor(&ours(times), &bare(times));
    harness::result(&format!("floor: p50 {:.2} x, p99 {:.2} x", p50.median, p99.median));
}
