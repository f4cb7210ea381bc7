//! The CPU time of the parts without IO, in nanoseconds.

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

#[path = "harness/bare.rs"]
mod bare;
mod harness;

use bare::{Approving, Memory};
use harness::stats::{Sorted, Spread};
use harness::{rounds, world};
use payment_intents::clock::SystemClock;
use payment_intents::dynamodb::{stored_payment, to_item};
use payment_intents::http::Api;
use payment_intents::money::{Currency, Money};
use payment_intents::payment::{
    Action, DirectPsps, Nonce, Outcome, Payment, Reservation, Settlement, TransactionId,
};
use payment_intents::ports::Clock;
use payment_intents::transport::Transport;
use std::hint::black_box;
use std::time::Instant;
use tokio::runtime::Runtime;
use uuid::Uuid;

fn main() {
    harness::in_logging_process(|| {
        let (fresh, full) = (world::payment(), payment_with(world::ACTIONS_MAX - 1));
        let asked = reservation(&full);
        let reserved = full.reserve(&asked).expect("it is admitted");
        let nonce = asked.nonce;
        let now = SystemClock.now();
        let settle = |payment: &Payment| match payment.settle(
            &asked.transaction,
            &nonce,
            Outcome::Approved,
            now,
        ) {
            Ok(Settlement::Changed(next)) => next,
            other => panic!("{other:?}"),
        };
        let runtime = world::runtime();
        let event = world::event(&fresh.key);
        let empty = api(Memory(None));
        let memory = api(Memory(Some(fresh.clone())));
        let (small, large) = (to_item(&fresh), to_item(&reserved));
        let mut rows = vec![
            ("admit", time(|| full.admit(black_box(&asked)))),
            ("settle", time(|| settle(black_box(&reserved)))),
            ("item to Payment, new", time(|| stored_payment(black_box(&small)))),
            ("item to Payment", time(|| stored_payment(black_box(&large)))),
            ("Payment to item", time(|| to_item(black_box(&reserved)))),
            ("event to 404", time(|| answer(&runtime, &empty, &event))),
            ("a whole action, unlogged", time(|| answer(&runtime, &memory, &event))),
        ];
        harness::log();
        rows.push(("a whole action, logged", time(|| answer(&runtime, &memory, &event))));
        report(&rows);
    });
}

/// A Payment with this many captures.
fn payment_with(captures: usize) -> Payment {
    let mut payment = world::payment();
    for _ in 0..captures {
        let asked = reservation(&payment);
        let reserved = payment.reserve(&asked).expect("it is admitted");
        let settled =
            reserved.settle(&asked.transaction, &asked.nonce, Outcome::Approved, asked.at);
        match settled {
            Ok(Settlement::Changed(next)) => payment = *next,
            other => panic!("{other:?}"),
        }
    }
    payment
}

fn reservation(payment: &Payment) -> Reservation {
    let now = SystemClock.now();
    let amount = Money::new(100, Currency::parse("EUR").expect("a currency")).expect("money");
    Reservation {
        key: payment.key.clone(),
        transaction: TransactionId::from(Uuid::new_v4()),
        nonce: Nonce::new(Uuid::new_v4().as_u128()),
        action: Action::Capture { amount },
        merchant_reference: Some("order-1001".to_owned()),
        at: now,
        lease: now.plus_ms(33_000),
        psps: DirectPsps::default(),
    }
}

/// The API over a store in memory and a connector that answers at once.
type CoreApi = Api<Memory, Approving, SystemClock>;

fn api(store: Memory) -> CoreApi {
    world::api(store, Approving, Transport::new().expect("the system's roots"))
}

fn answer(runtime: &Runtime, api: &CoreApi, event: &str) -> String {
    runtime.block_on(world::handle(api, event))
}

/// The duration of `work` in nanoseconds, measured in rounds of a few milliseconds.
fn time<T>(mut work: impl FnMut() -> T) -> Spread {
    let round_ns = if harness::is_smoke() { 10_000.0 } else { 5_000_000.0 };
    let mut times = 1_u32;
    let mut round = |times: u32| {
        let started = Instant::now();
        for _ in 0..times {
            black_box(work());
        }
        started.elapsed().as_secs_f64() * 1e9
    };
    while round(times) < round_ns {
        times *= 2;
    }
    let rounds = rounds(60, 2);
    Sorted::of((0..rounds).map(|_| round(times) / f64::from(times))).spread()
}

fn report(rows: &[(&str, Spread)]) {
    let cells: Vec<_> = rows.iter().map(|(name, time)| (*name, format!("{time:.0}"))).collect();
    let cells: Vec<_> = std::iter::once(("core", "ns".to_owned())).chain(cells).collect();
    harness::row(&cells);
    let ns = |name: &str| {
        rows.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, time)| time.median)
    };
    harness::result(&format!(
        "core: admit {:.0} ns, settle {:.0} ns, read {:.0} ns, a whole action {:.1} us",
        ns("admit"),
        ns("settle"),
        ns("item to Payment"),
        ns("a whole action, logged") / 1_000.0
    ));
}
