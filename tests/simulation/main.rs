//! The proof: the real service and recovery run on a scheduler, which decides the result of
//! every call, over models of the store and of all kinds of connectors, with every known
//! fault in every order.
//!
//! `SIMULATION_SCHEDULES=N` sets the number of random schedules, `SIMULATION_STATES=N` that of
//! the states of a small world of which not all are visited. `SIMULATION_SEED=N`
//! repeats the one with that seed.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a panic fails the simulation"
)]

mod answers;
mod explore;
mod model;
mod mutants;
mod ports;
mod quiet;
mod reports;
mod runs;
mod schedule;

use explore::{Failure, exhaust, random};
use model::{direct, landing, psp, world};
use payment_intents::payment::Action;
use psp::{Style, Tier};
use schedule::{Client, Plan};
use std::collections::HashSet;
use world::{Past, eur};

/// A debug build runs a sample; the documented figures are those of `--release`.
const IS_SAMPLE: bool = cfg!(debug_assertions);

fn client(action: Action, key: Option<&'static str>, repeats: u8) -> Client {
    Client { action, key, repeats, reference: None }
}

fn capture(amount: u64) -> Action {
    Action::Capture { amount: eur(amount) }
}

fn refund(amount: u64) -> Action {
    Action::Refund { amount: eur(amount), charge: None }
}

/// Small worlds: one to three requests, with each fault and up to two crashes.
fn small_worlds() -> Vec<Plan> {
    let alone = [
        (Past::Authorized, capture(60)),
        (Past::BegunElsewhere, capture(60)),
        (Past::Authorized, Action::Cancel),
        (Past::Authorized, Action::Reverse),
        (Past::Captured, refund(60)),
        (Past::Captured, Action::Reverse),
    ];
    let together = [
        (Past::Authorized, vec![client(capture(60), None, 0), client(capture(60), None, 0)]),
        (
            Past::Authorized,
            vec![client(capture(60), Some("k1"), 0), client(capture(60), Some("k1"), 0)],
        ),
        (Past::Authorized, vec![client(capture(100), None, 0), client(Action::Cancel, None, 0)]),
        (Past::Captured, vec![client(refund(60), None, 0), client(Action::Reverse, None, 0)]),
        (
            Past::Authorized,
            vec![
                client(capture(60), Some("k1"), 0),
                client(capture(60), Some("k1"), 0),
                client(capture(40), None, 0),
            ],
        ),
    ];
    let mut worlds = Vec::new();
    for tier in Tier::CONNECTORS.into_iter().chain([Tier::Direct]) {
        let quiet = Plan {
            tier,
            past: Past::Authorized,
            style: Style::Named,
            is_timed: false,
            clients: Vec::new(),
            crashes: 0,
            faults: 0,
            recoveries: 0,
            reports: 0,
            events: 0,
            untrue_reports: 0,
            jumps: 0,
            decisions: true,
            is_skewed: false,
            is_crowded: false,
        };
        // One repeated request, with many faults.
        let alone = || {
            let all = alone.iter().cloned();
            all.filter(|(past, _)| tier != Tier::Direct || *past != Past::BegunElsewhere)
        };
        for (past, action) in alone() {
            let clients = vec![client(action, Some("k1"), 1)];
            let troubled = Plan { past, clients, crashes: 2, ..quiet.clone() };
            worlds.push(Plan { faults: 1, recoveries: 1, jumps: 1, ..troubled });
        }
        // One request, one effect at the PSP without us, and a report about either.
        for (past, action) in alone() {
            let clients = vec![client(action, None, 0)];
            let surprised = Plan { past, clients, crashes: 1, ..quiet.clone() };
            worlds.push(Plan { reports: 1, events: 1, ..surprised.clone() });
            worlds.push(Plan { reports: 2, events: 1, crashes: 0, ..surprised });
        }
        // Several requests, with one or two faults.
        for (past, clients) in together.clone() {
            let several = Plan { past, clients, ..quiet.clone() };
            worlds.push(Plan { crashes: 2, ..several.clone() });
            worlds.push(Plan { faults: 1, ..several.clone() });
            worlds.push(Plan { crashes: 1, recoveries: 1, jumps: 1, ..several.clone() });
            worlds.push(Plan { reports: 1, crashes: 1, ..several });
        }
    }
    worlds
}

fn report(failure: &Failure) -> ! {
    let least = failure.minimised();
    println!("{:?}", least.plan);
    for line in least.trace() {
        println!("{line}");
    }
    panic!("{} after choices {:?}", least.what, least.choices);
}

#[test]
fn no_schedule_of_a_small_world_violates_an_invariant() {
    let worlds = small_worlds();
    let most = variable("SIMULATION_STATES").and_then(|states| usize::try_from(states).ok());
    let most = most.unwrap_or(if IS_SAMPLE { 200 } else { 40_000 });
    let found = in_parallel(worlds.len(), |index| {
        let mut known = HashSet::new();
        let exhausted = exhaust(&worlds[index], &mut known, most);
        (known.len(), exhausted)
    });
    let (mut states, mut whole) = (0, 0);
    for (known, exhausted) in found {
        states += known;
        match exhausted {
            Ok(is_whole) => whole += usize::from(is_whole),
            Err(failure) => report(&failure),
        }
    }
    println!("worlds: {whole} of {} to the end, the others up to {most} states", worlds.len());
    println!("exhaustive: {states} distinct states, 0 violations");
}

#[test]
fn no_random_schedule_violates_an_invariant() {
    if let Some(seed) = variable("SIMULATION_SEED") {
        if let Err(failure) = random(seed) {
            report(&failure);
        }
        return;
    }
    let schedules =
        variable("SIMULATION_SCHEDULES").unwrap_or(if IS_SAMPLE { 4_000 } else { 1_000_000 });
    let parts = 64;
    let failures = in_parallel(parts, |part| {
        let seeds = (part as u64..schedules).step_by(parts);
        let failed = seeds.filter_map(|seed| Some((seed, *random(seed).err()?)));
        failed.collect::<Vec<_>>()
    });
    let mut failures: Vec<_> = failures.into_iter().flatten().collect();
    failures.sort_by_key(|(seed, _)| *seed);
    for (seed, failure) in &failures {
        println!("SIMULATION_SEED={seed}: {}", failure.what);
    }
    if let Some((_, failure)) = failures.first() {
        report(failure);
    }
    println!("random: {schedules} schedules, 0 violations");
}

fn variable(name: &str) -> Option<u64> {
    #[allow(clippy::disallowed_methods, reason = "says how much to simulate")]
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// The results of `work` for each number below `count`, in order, computed on two threads.
fn in_parallel<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    loop {
                        let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if index >= count {
                            return done;
                        }
                        done.push((index, work(index)));
                    }
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, done)| done).collect()
}
