//! The duration of a capture at Stripe, called directly, compared with a capture through a
//! connector. Both are two writes and one call. At Stripe the second write also books the
//! release of the rest.

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

use harness::floor::Recorder;
use harness::rounds;
use harness::stats::{Pair, bare, micros, ours, ratios};
use harness::world::{self, RealApi, World};
use payment_intents::payment::PaymentKey;
use std::time::Instant;
use tokio::runtime::Runtime;

fn main() {
    harness::in_logging_process(|| {
        harness::log();
        let world = World::start();
        let runtime = world::runtime();
        let client = world.dynamodb.clone().client();
        let recorder = Recorder::default();
        let config = client.config().to_builder().interceptor(recorder.clone()).build();
        let recorded = world.api(&aws_sdk_dynamodb::Client::from_conf(config));
        let one = runtime.block_on(world::payments_at_stripe(&client, &world.stripe, 1));
        capture(&runtime, &recorded, &one[0]);
        let writes = recorder.writes().len();
        let api = world.api(&client);
        let (count, per_round) = (rounds(20, 1), rounds(125, 5));
        let mut times = Vec::new();
        // The first round opens connections, and is not measured.
        for round in 0..=count {
            let at_stripe =
                runtime.block_on(world::payments_at_stripe(&client, &world.stripe, per_round));
            let at_connector = runtime.block_on(world::payments(&client, per_round));
            let pair = latencies(&runtime, &api, &at_stripe, &at_connector);
            if round > 0 {
                times.push(pair);
            }
        }
        report(&times, writes);
    });
}

fn capture(runtime: &Runtime, api: &RealApi, payment: &PaymentKey) -> f64 {
    let event = world::event(payment);
    let started = Instant::now();
    let answer = runtime.block_on(world::handle(api, &event));
    let took = micros(started);
    assert!(world::is_approved(&answer), "{answer}");
    took
}

/// Measures both in alternating order. In microseconds.
fn latencies(
    runtime: &Runtime,
    api: &RealApi,
    at_stripe: &[PaymentKey],
    at_connector: &[PaymentKey],
) -> Pair {
    let mut pair = Pair::default();
    for (turn, (stripe, connector)) in at_stripe.iter().zip(at_connector).enumerate() {
        for is_stripe in [turn % 2 == 0, turn % 2 == 1] {
            if is_stripe {
                pair.ours.push(capture(runtime, api, stripe));
            } else {
                pair.floor.push(capture(runtime, api, connector));
            }
        }
    }
    pair
}

fn report(times: &[Pair], writes: usize) {
    let (p50, p99) = (ratios(times, 0.5).spread(), ratios(times, 0.99).spread());
    let at =
        |part| format!("{:.0} / {:.0}", ours(times).quantile(part), bare(times).quantile(part));
    harness::row(&[
        ("at Stripe / by a connector", format!("{} × {}", times.len(), times[0].ours.len())),
        ("p50", format!("{p50} ×")),
        ("p99", format!("{p99} ×")),
        ("p50, µs", at(0.5)),
        ("p99, µs", at(0.99)),
        ("writes", writes.to_string()),
    ]);
    harness::result(&format!("stripe: p50 {:.2} x, {writes} writes", p50.median));
}
