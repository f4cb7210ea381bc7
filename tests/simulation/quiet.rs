//! The end of a schedule: nothing more goes wrong, and everything must come right.

use crate::ports::locked;
use crate::schedule::{Choice, MINUTE_MS, Schedule};
use crate::world::{Tier, World};
use payment_intents::payment::{Outcome, Payment, State, TransactionId};
use payment_intents::ports::Lookup;

impl Schedule {
    /// Everybody is gone, what they sent arrives, nothing more goes wrong, and recovery runs each minute:
    /// then everything comes to its end, where the connector allows it by itself.
    pub fn quiet(&mut self) {
        for run in 0..self.runs.len() {
            self.kill(run);
        }
        (self.plan.crashes, self.plan.faults, self.plan.jumps) = (0, 0, 0);
        // What is still under way arrives.
        while !locked(&self.world).late.is_empty() {
            self.take(Choice::DeliverLate(0));
        }
        let start = locked(&self.world).now;
        let within_ms = match self.plan.tier {
            Tier::SameKey => self.next_look_ms().max(120_000),
            // Of two equal ones the older waits until the other is cleared up.
            Tier::Queryable if self.has_equal_ones() => self.next_look_ms().max(900_000),
            Tier::Queryable => self.next_look_ms().max(480_000),
            Tier::LateRecorder | Tier::Opaque | Tier::Liar => 0,
        };
        let mut minutes = 0;
        while self.is_open() && minutes < 75 && !self.waits_for_a_fact() {
            minutes += 1;
            let then = start.plus_ms(minutes * MINUTE_MS);
            self.pass_until(then);
            self.recover_alone();
        }
        let took_ms = locked(&self.world).now.ms_since(start);
        let waits = self.waits_for_a_fact();
        if within_ms > 0 && !waits && (self.is_open() || took_ms > within_ms) {
            let mut world = locked(&self.world);
            world.violated(format!("not final {took_ms} ms after everything was quiet"));
        }
        self.tell_the_truth();
        self.check_end();
    }

    /// Where recovery has looked in vain before, it looks again later and later;
    /// until then, a minute's schedule included.
    fn next_look_ms(&self) -> u64 {
        let world = locked(&self.world);
        let looked = world.payment.open_transactions().filter(|open| open.pursuit.looks > 0);
        let next = looked.map(|open| world.payment.look_at(open).ms_since(world.now)).max();
        next.map_or(0, |next_ms| next_ms + MINUTE_MS)
    }

    fn has_equal_ones(&self) -> bool {
        let world = locked(&self.world);
        let mut open = world.payment.open_transactions();
        open.any(|open| self.alike(&world.payment, &open.id).len() > 1)
    }

    fn is_open(&self) -> bool {
        let world = locked(&self.world);
        world.payment.open_transactions().next().is_some() || world.payment.in_flight.is_some()
    }

    /// What is Pending, or was unclear for longer than its key is honoured, takes
    /// somebody who knows.
    fn waits_for_a_fact(&self) -> bool {
        let world = locked(&self.world);
        if world.payment.in_flight.is_some() {
            return false;
        }
        let resolves_itself = matches!(self.plan.tier, Tier::SameKey | Tier::Queryable);
        world.payment.open_transactions().all(|open| {
            !resolves_itself && open.state == State::Unknown
                || open.state == State::Pending
                || !open.was_ours()
                || self.plan.tier == Tier::SameKey
                    && world.now.ms_since(open.timestamp) > crate::world::RESEND_WINDOW_MS
        }) && world.payment.open_transactions().next().is_some()
    }

    /// One run of recovery, undisturbed.
    fn recover_alone(&mut self) {
        let listed = locked(&self.world).recover_at.is_some();
        if !listed {
            return;
        }
        let run = self.runs.len();
        self.recover();
        self.finish(run);
        let mut world = locked(&self.world);
        let now = world.now;
        if world.payment.in_flight.as_ref().is_some_and(|slot| slot.is_expired(now)) {
            world.violated("recovery left an expired slot behind");
        }
    }

    fn finish(&mut self, run: usize) {
        for _ in 0..200 {
            if self.runs[run].is_none() {
                return;
            }
            if locked(&self.world).processes[run].pending.is_some() {
                self.take(Choice::Deliver(run));
            } else {
                self.take(Choice::WaitForTimer);
            }
        }
        locked(&self.world).violated("a run did not come to its end");
    }

    /// The facts that are still to come: what the PSP did, and what it did not.
    fn tell_the_truth(&mut self) {
        let open: Vec<_> = {
            let world = locked(&self.world);
            world.payment.open_transactions().map(|open| open.id.clone()).collect()
        };
        for id in open {
            let happened = {
                let world = locked(&self.world);
                let alike = self.alike(&world.payment, &id);
                moved(&world, &alike) > done(&world.payment, &alike)
            };
            let outcome = if happened { Outcome::Approved } else { Outcome::Disproved };
            let run = self.runs.len();
            self.report(id, outcome);
            self.finish(run);
        }
    }

    /// The transactions that nobody can tell from this one. A platform does not
    /// tell equal ones apart: there, what they moved together counts.
    pub fn alike(&self, payment: &Payment, id: &TransactionId) -> Vec<TransactionId> {
        let Some(one) = payment.transactions.get(id) else { return vec![id.clone()] };
        let is_looked_up = self.plan.tier.policy().lookup == Lookup::Payment;
        let alike = payment.transactions.values().filter(|other| {
            let is_ours = !other.id.as_str().starts_with("past-");
            let is_equal = other.kind == one.kind && other.amount == one.amount;
            other.id == one.id || (is_looked_up && is_ours && is_equal)
        });
        alike.map(|other| other.id.clone()).collect()
    }

    /// At the end everything is final, and the ledger says what the PSP did.
    fn check_end(&mut self) {
        if self.is_open() {
            locked(&self.world).violated("not final after a fact");
        }
        let mut world = locked(&self.world);
        if world.recover_at.is_some() && world.violation.is_none() {
            world.violated("something final is still in the index");
        }
        let payment = world.payment.clone();
        for transaction in payment.transactions.values() {
            if transaction.id.as_str().starts_with("past-") {
                continue;
            }
            let alike = self.alike(&payment, &transaction.id);
            let (expected, effects) = (done(&payment, &alike), moved(&world, &alike));
            if effects != expected {
                let what = format!(
                    "{} is {:?}: {expected} should have moved money, {effects} did",
                    transaction.id, transaction.state
                );
                world.violated(what);
            }
        }
        let lost: Vec<_> = world
            .effects
            .iter()
            .filter(|effect| !payment.transactions.contains_key(&effect.transaction))
            .map(|effect| effect.transaction.clone())
            .collect();
        for id in lost {
            world.violated(format!("{id} moved money and is not in the ledger"));
        }
        // The caller may have asked anew: nothing may ever come of these.
        for id in &self.not_sent {
            if world.effects_of(id) > 0 {
                world.violated(format!("{id} was answered as not sent, and moved money"));
            }
        }
        drop(world);
        for client in 0..self.plan.clients.len() {
            self.check_client(client);
        }
    }
}

fn moved(world: &World, alike: &[TransactionId]) -> usize {
    alike.iter().map(|id| world.effects_of(id)).sum()
}

fn done(payment: &Payment, alike: &[TransactionId]) -> usize {
    alike.iter().filter(|id| payment.transactions[*id].state == State::Success).count()
}
