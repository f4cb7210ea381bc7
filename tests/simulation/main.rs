//! The proof: the real service and recovery on a scheduler that decides what
//! happens to every call, over a model of the store and of connectors of every
//! kind, with every fault that we know of, in every order.
//!
//! `SIMULATION_SCHEDULES=N` says how many random schedules; `SIMULATION_SEED=N`
//! repeats the one with that seed.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a simulation that goes wrong has failed, and says so"
)]

mod explore;
mod ports;
mod schedule;
mod world;

use explore::{Failure, exhaust, random};
use payment_intents::mutants::Mutant;
use payment_intents::payment::Action;
use schedule::{Client, Plan};
use std::collections::HashSet;
use world::{Tier, eur};

/// A debug build looks at a sample; the figures are for `--release`.
const IS_SAMPLE: bool = cfg!(debug_assertions);

fn client(action: Action, key: Option<&'static str>, repeats: u8) -> Client {
    Client { action, key, repeats }
}

fn capture(amount: u64) -> Action {
    Action::Capture { amount: eur(amount) }
}

fn refund(amount: u64) -> Action {
    Action::Refund { amount: eur(amount), charge: None }
}

/// Small worlds: up to three requests, two crashes, and each fault.
fn small_worlds() -> Vec<Plan> {
    let requests = [
        (false, vec![client(capture(60), Some("k1"), 1), client(capture(60), None, 0)]),
        (false, vec![client(capture(100), Some("k1"), 1), client(Action::Cancel, None, 0)]),
        (true, vec![client(refund(60), Some("k1"), 1), client(Action::Reverse, Some("k2"), 0)]),
        (
            false,
            vec![
                client(capture(60), Some("k1"), 0),
                client(capture(60), Some("k1"), 0),
                client(capture(40), Some("k1"), 0),
            ],
        ),
        (true, vec![client(refund(60), None, 1), client(refund(60), None, 0)]),
    ];
    let mut worlds = Vec::new();
    for (captured, clients) in requests {
        for tier in Tier::ALL {
            worlds.push(Plan {
                tier,
                captured,
                clients: clients.clone(),
                crashes: 2,
                faults: 1,
                recoveries: 1,
                facts: 1,
                jumps: 1,
                decisions: true,
            });
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
    let most = if IS_SAMPLE { 400 } else { 60_000 };
    let mut states = 0;
    let found: Vec<(usize, Option<Failure>)> = in_parallel(worlds.len(), |index| {
        let mut known = HashSet::new();
        let failure = exhaust(&worlds[index], &mut known, most).err().map(|failure| *failure);
        (known.len(), failure)
    });
    for (known, failure) in found {
        states += known;
        if let Some(failure) = failure {
            report(&failure);
        }
    }
    println!("exhaustive: {states} distinct states, 0 violations");
}

#[test]
fn no_random_schedule_violates_an_invariant() {
    #[allow(clippy::disallowed_methods, reason = "says how much to simulate")]
    let variable = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
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
        let mut seed = part as u64;
        while seed < schedules {
            if let Err(failure) = random(seed) {
                return Some((seed, *failure));
            }
            seed += parts as u64;
        }
        None
    });
    if let Some((seed, failure)) = failures.into_iter().flatten().next() {
        println!("SIMULATION_SEED={seed}");
        report(&failure);
    }
    println!("random: {schedules} schedules, 0 violations");
}

#[test]
fn every_realistic_mistake_is_caught() {
    let most: u64 = if IS_SAMPLE { 30_000 } else { 300_000 };
    let caught = in_parallel(Mutant::ALL.len(), |index| {
        Mutant::switch(Some(Mutant::ALL[index]));
        let caught =
            (0..most).find_map(|seed| random(seed).err().map(|failure| (seed, failure.what)));
        Mutant::switch(None);
        caught
    });
    let mut count = 0;
    for (mutant, caught) in Mutant::ALL.iter().zip(&caught) {
        match caught {
            Some((seed, what)) => {
                count += 1;
                println!("{mutant:?}: caught by schedule {seed}: {what}");
            }
            None => println!("{mutant:?}: NOT CAUGHT in {most} schedules"),
        }
    }
    println!("mutants: {count} of {} caught", Mutant::ALL.len());
    assert_eq!(count, Mutant::ALL.len());
}

/// `work` for each number below `count`, on two threads, in order.
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
