//! The cost of later actions of a Payment, whose item grows with each action.

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
#[path = "../tests/support/item_size.rs"]
mod item_size;

use aws_sdk_dynamodb::Client;
use harness::floor::{Floor, Recorder, primary_key};
use harness::stats::{Sorted, Spread, micros};
use harness::world::{self, ACTIONS_MAX, TABLE, World};
use harness::{plot, rounds};
use payment_intents::payment::PaymentKey;
use std::time::Instant;
use tokio::runtime::Runtime;

/// The capacity units of a write to the table.
const SHOWN: [usize; 4] = [2, 10, 25, 49];

fn main() {
    harness::in_logging_process(|| {
        harness::log();
        let world = World::start();
        let runtime = world::runtime();
        let client = world.dynamodb.clone().client();
        let items = runtime.block_on(items(&world, &client));
        let lives = rounds(150, 2);
        let mut ours = vec![Vec::new(); ACTIONS_MAX];
        let mut floor = vec![Vec::new(); ACTIONS_MAX];
        measure(&runtime, &world, &client, lives, &mut ours, &mut floor);
        report(&ours, &floor, &items);
    });
}

/// The size of the item after an action, and the capacity units of its writes.
struct Item {
    bytes: usize,
    capacity: f64,
}

async fn items(world: &World, client: &Client) -> Vec<Item> {
    let recorder = Recorder::default();
    let config = client.config().to_builder().interceptor(recorder.clone()).build();
    let api = world.api(&Client::from_conf(config));
    let payment = world::payments(client, 1).await.remove(0);
    let mut items = Vec::new();
    for _ in 0..ACTIONS_MAX {
        let answer = world::handle(&api, &world::event(&payment)).await;
        assert!(world::is_approved(&answer), "{answer}");
        let bytes = item_size::of(&stored(client, &payment).await);
        items.push(Item { bytes, capacity: recorder.capacity() });
    }
    items
}

async fn stored(client: &Client, key: &PaymentKey) -> payment_intents::dynamodb::Item {
    let get = client.get_item().table_name(TABLE).set_key(Some(primary_key(key)));
    get.consistent_read(true).send().await.expect("an answer").item.expect("a Payment")
}

/// Two Payments measured in turns. In microseconds, by the action's number.
fn measure(
    runtime: &Runtime,
    world: &World,
    client: &Client,
    lives: usize,
    ours: &mut [Vec<f64>],
    floor: &mut [Vec<f64>],
) {
    let api = world.api(client);
    let mut bare = runtime.block_on(Floor::record(world));
    for _ in 0..lives {
        let two = runtime.block_on(world::payments(client, 2));
        for (nth, (ours, floor)) in ours.iter_mut().zip(floor.iter_mut()).enumerate() {
            let event = world::event(&two[0]);
            let started = Instant::now();
            let answer = runtime.block_on(world::handle(&api, &event));
            ours.push(micros(started));
            assert!(world::is_approved(&answer), "{answer}");
            let started = Instant::now();
            runtime.block_on(bare.act(&two[1], nth as u64 + 1));
            floor.push(micros(started));
        }
    }
}

fn report(ours: &[Vec<f64>], floor: &[Vec<f64>], items: &[Item]) {
    let of = |times: &[Vec<f64>], nth: usize| Sorted::of(times[nth - 1].iter().copied());
    let cell = |nth: usize| {
        let Item { bytes, capacity } = items[nth - 1];
        let time = of(ours, nth).spread();
        format!("{time:.0} µs, {:.1} KiB, {capacity} WCU", bytes as f64 / 1024.0)
    };
    let first = of(ours, SHOWN[0]).median();
    let last: Spread = of(ours, SHOWN[3]).spread();
    let last =
        Spread { low: last.low / first, median: last.median / first, high: last.high / first };
    let floors = of(floor, SHOWN[3]).median() / of(floor, SHOWN[0]).median();
    harness::row(&[
        ("lives", ours[0].len().to_string()),
        ("2nd action", cell(2)),
        ("10th", cell(10)),
        ("25th", cell(25)),
        ("49th", cell(49)),
        ("49th/2nd", format!("{last} ×")),
        ("the floor's", format!("{floors:.2} ×")),
    ]);
    let medians = |times: &[Vec<f64>]| -> Vec<f64> {
        (1..=ACTIONS_MAX).map(|nth| of(times, nth).median()).collect()
    };
    plot::keep_growth(&medians(ours), &medians(floor));
    let bytes = items[ACTIONS_MAX - 1].bytes as f64;
    harness::result(&format!(
        "growth: 49th/2nd {:.2} x, floor {floors:.2} x, item {:.1} KiB",
        last.median,
        bytes / 1024.0
    ));
}
