//! The end of a schedule: without further faults, every transaction must become final and
//! correct.

use crate::landing::{SentReport, group};
use crate::ports::locked;
use crate::psp::{RESEND_WINDOW_MS, Style, Tier};
use crate::reports::PossibleReport;
use crate::schedule::{Choice, MINUTE_MS, Schedule};
use crate::world::{SKEW_MS, World};
use payment_intents::payment::{
    Report, SETTLE_WINDOW_MS, State, Transaction, TransactionId, Update,
};
use payment_intents::ports::Lookup;
use std::collections::BTreeSet;

impl Schedule {
    /// All processes end, their messages arrive, and recovery runs each minute without
    /// faults. Then every transaction becomes final, if its connector allows that without
    /// reports.
    pub fn quiet(&mut self) {
        for run in 0..self.runs.len() {
            self.kill(run);
        }
        (self.plan.crashes, self.plan.faults, self.plan.jumps) = (0, 0, 0);
        (self.plan.reports, self.plan.events, self.plan.untrue_reports) = (0, 0, 0);
        // Messages on their way arrive.
        while !locked(&self.world).late.is_empty() {
            self.take(Choice::DeliverLate(0));
        }
        let start = locked(&self.world).now;
        let skew_ms = if self.plan.is_skewed { SKEW_MS * 2 } else { 0 };
        let within_ms = match self.plan.tier {
            Tier::SameKey => self.next_look_ms().max(120_000),
            // Effects that we did not send, and untrue reports, may be matched to ours.
            Tier::Queryable if self.is_unclear() => 0,
            // Without ids, different clocks make it ambiguous which of equal transactions a
            // report is about.
            Tier::Queryable
                if self.plan.is_skewed
                    && self.plan.style == Style::Nameless
                    && self.has_equal_ones() =>
            {
                0
            }
            // Of two equal transactions, the older stays open until the other is resolved.
            Tier::Queryable if self.has_equal_ones() => self.next_look_ms().max(1_500_000),
            Tier::Queryable => self.next_look_ms().max(480_000),
            Tier::LateRecorder | Tier::Opaque | Tier::Untrusted => 0,
        };
        let mut minutes = 0;
        while self.is_open() && minutes < 75 && !self.needs_a_report() {
            minutes += 1;
            let then = start.plus_ms(minutes * MINUTE_MS);
            self.pass_until(then);
            self.recover_alone();
        }
        let took_ms = locked(&self.world).now.ms_since(start);
        let waits = self.needs_a_report();
        if within_ms > 0 && !waits && (self.is_open() || took_ms > within_ms + skew_ms) {
            let mut world = locked(&self.world);
            world.violated(format!("not final {took_ms} ms after everything was quiet"));
        }
        self.report_true_states();
        self.check_end();
    }

    /// The time until the next look: recovery waits longer after each look without a
    /// result, plus a minute for its schedule.
    fn next_look_ms(&self) -> u64 {
        let world = locked(&self.world);
        let looked = world.payment.open_transactions().filter(|open| open.recovery.looks > 0);
        let next = looked.map(|open| world.payment.next_look_at(open).ms_since(world.now)).max();
        next.map_or(0, |next_ms| next_ms + MINUTE_MS)
    }

    fn is_unclear(&self) -> bool {
        let world = locked(&self.world);
        world.is_surprised || !world.mistaken.is_empty()
    }

    fn has_equal_ones(&self) -> bool {
        let world = locked(&self.world);
        let all = world.payment.transactions.values();
        let same = |a: &Transaction, b: &Transaction| (a.kind, a.amount) == (b.kind, b.amount);
        let mut open = world.payment.open_transactions();
        open.any(|open| all.clone().filter(|other| same(open, other)).count() > 1)
    }

    fn is_open(&self) -> bool {
        let world = locked(&self.world);
        world.payment.open_transactions().next().is_some() || world.payment.in_flight.is_some()
    }

    /// A Pending transaction, or an Unknown one whose key is no longer honoured, needs a
    /// report.
    fn needs_a_report(&self) -> bool {
        let world = locked(&self.world);
        if world.payment.in_flight.is_some() {
            return false;
        }
        let resolves_itself = matches!(self.plan.tier, Tier::SameKey | Tier::Queryable);
        world.payment.open_transactions().all(|open| {
            !resolves_itself && open.state == State::Unknown && open.waiting_failure.is_none()
                || open.is_discrepant()
                || open.state == State::Pending
                || !open.was_sent_by_us()
                || self.plan.tier == Tier::SameKey
                    && world.now.ms_since(open.timestamp) > RESEND_WINDOW_MS
        }) && world.payment.open_transactions().next().is_some()
    }

    /// One run of recovery without faults.
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
        if world
            .payment
            .in_flight
            .as_ref()
            .is_some_and(|slot| slot.is_expired(now.minus_ms(SKEW_MS / 2)))
        {
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

    /// The outstanding reports: the last state of each effect that was not applied, and the
    /// outcome of each open transaction.
    fn report_true_states(&mut self) {
        if !self.plan.tier.is_trusted() {
            // No connector is at work any more, so that even an untrusted "no" is true.
            let then = locked(&self.world).now.plus_ms(SETTLE_WINDOW_MS + MINUTE_MS);
            self.pass_until(then);
        }
        // If one is matched to another, that other one's own report is news.
        let count = locked(&self.world).effects.len();
        for index in (0..count).chain(0..count) {
            if locked(&self.world).is_report_outstanding(index) {
                self.report_alone(|schedule| {
                    schedule.report_until_applied(PossibleReport::TrueState(index))
                });
            }
        }
        self.report_open_transactions();
        self.wait_until_failures_count();
        self.compare_sums();
        self.resolve_discrepancies();
        // New room may have admitted an open transaction.
        self.report_open_transactions();
        self.compare_sums();
    }

    fn report_open_transactions(&mut self) {
        let open: Vec<_> = {
            let world = locked(&self.world);
            let open = world.payment.open_transactions();
            let open = open.filter(|open| open.last_reported_state().is_open());
            open.map(|open| open.id.clone()).collect()
        };
        for id in open {
            let happened = {
                let world = locked(&self.world);
                let alike = self.alike(&world, &id);
                alike.moved > alike.done
            };
            let state = if happened { State::Success } else { State::Failure };
            let update = Update::ChangeTransactionState { id: id.clone(), state };
            let sent_report = SentReport { effect: None, transaction: Some(id), update };
            self.report_alone(|schedule| schedule.send_report(sent_report, false));
        }
    }

    /// A Failure counts only once the connector can no longer be at work.
    fn wait_until_failures_count(&mut self) {
        let is_waiting = |ours: &Transaction| ours.waiting_failure.is_some();
        if locked(&self.world).payment.transactions.values().any(is_waiting) {
            let then = locked(&self.world).now.plus_ms(SETTLE_WINDOW_MS + MINUTE_MS);
            self.pass_until(then);
            self.recover_alone();
        }
    }

    /// An operator resolves each discrepancy: reports the true state of a contradiction,
    /// and acknowledges a true excess.
    fn resolve_discrepancies(&mut self) {
        self.check_discrepancies();
        for _ in 0..8 {
            let Some(sent_report) = self.resolution() else { return };
            if !self.plan.tier.is_trusted() {
                // A dispute is resolved by a report from after the connector stopped.
                let then = locked(&self.world).now.plus_ms(SETTLE_WINDOW_MS + MINUTE_MS);
                self.pass_until(then);
            }
            self.report_alone(|schedule| schedule.send_report(sent_report, false));
            self.wait_until_failures_count();
        }
    }

    /// Without effects that we did not send and without untrue reports, there is no
    /// discrepancy.
    fn check_discrepancies(&self) {
        let mut world = locked(&self.world);
        let is_clear = !world.is_surprised && !world.is_doubted && world.mistaken.is_empty();
        let flagged = world.payment.discrepancies().next().map(|flagged| flagged.id.to_string());
        if let Some(flagged) = flagged.filter(|_| is_clear) {
            world.violated(format!("{flagged} has a discrepancy, and all reports were true"));
        }
    }

    fn resolution(&self) -> Option<SentReport> {
        let world = locked(&self.world);
        let flagged = world.payment.discrepancies().next()?;
        let id = flagged.id.clone();
        let update = if flagged.state_awaiting_balances.is_some_and(|state| !state.is_open()) {
            // A transaction too many is one that did not happen.
            let of = group(flagged.kind, flagged.amount);
            let all = world.payment.transactions.values();
            let done = all.filter(|one| group(one.kind, one.amount) == of);
            let done = done.filter(|one| one.last_reported_state() == State::Success).count();
            let moved = world.effects.iter().filter(|effect| effect.is_done);
            let moved = moved.filter(|effect| group(effect.kind, effect.amount) == of).count();
            if done > moved {
                Update::ChangeTransactionState { id: id.clone(), state: State::Failure }
            } else {
                Update::AcknowledgeDiscrepancy { id: id.clone() }
            }
        } else {
            let Alike { done, moved } = self.alike(&world, &id);
            let state = if moved > done { State::Success } else { State::Failure };
            Update::ChangeTransactionState { id: id.clone(), state }
        };
        Some(SentReport { effect: None, transaction: Some(id), update })
    }

    /// Reports without their own ids, and untrue ones, may be matched to other
    /// transactions. An operator who compares the sums finds that, and reports what is not
    /// so.
    fn compare_sums(&mut self) {
        for _ in 0..8 {
            let Some(sent_report) = self.correction() else { return };
            self.report_alone(|schedule| schedule.send_report(sent_report, false));
        }
    }

    fn correction(&self) -> Option<SentReport> {
        let world = locked(&self.world);
        let mistaken = world.mistaken.iter().find_map(|of| {
            let same = |kind, amount| group(kind, amount) == *of;
            let ours = world.payment.transactions.values();
            let ours: Vec<_> = ours.filter(|one| same(one.kind, one.amount)).collect();
            let moved = world.effects.iter().filter(|effect| effect.is_done);
            let moved = moved.filter(|effect| same(effect.kind, effect.amount));
            let is_done = |one: &&&Transaction| one.last_reported_state() == State::Success;
            let done = ours.iter().filter(is_done).count();
            let moved: Vec<_> = moved.collect();
            (done != moved.len()).then_some((ours, done > moved.len(), moved.first().copied()))
        });
        let (ours, are_too_many, moved) = mistaken?;
        let wrong = if are_too_many { State::Success } else { State::Failure };
        let right = if are_too_many { State::Failure } else { State::Success };
        let open = ours.iter().find(|one| one.last_reported_state().is_open() && !are_too_many);
        let wrong = || ours.iter().find(|one| one.last_reported_state() == wrong);
        if let Some(one) = open.or_else(wrong) {
            let id = one.id.clone();
            let update = Update::ChangeTransactionState { id: id.clone(), state: right };
            return Some(SentReport { effect: None, transaction: Some(id), update });
        }
        let moved = moved?;
        let id = format!("fact-missing-{}", self.words);
        let fact = Report {
            kind: moved.kind,
            state: State::Success,
            amount: moved.amount,
            timestamp: None,
            interaction_id: Some(id.clone()),
            interface_id: None,
        };
        let update =
            Update::AddTransaction { id: TransactionId::parse(&id).unwrap(), report: fact };
        Some(SentReport { effect: None, transaction: None, update })
    }

    fn report_alone(&mut self, tell: impl FnOnce(&mut Self)) {
        let run = self.runs.len();
        tell(self);
        self.finish(run);
    }

    /// The transactions that cannot be told apart from this one, because of the platform's
    /// data or because reports may be about any of them. Only their sum is compared.
    fn alike(&self, world: &World, id: &TransactionId) -> Alike {
        let Some(one) = world.payment.transactions.get(id) else { return Alike::default() };
        let is_looked_up = self.plan.tier.policy().lookup == Lookup::Payment;
        let is_mistaken = world.is_mistaken(one.kind, one.amount);
        let same = |kind, amount| group(kind, amount) == group(one.kind, one.amount);
        let are_together = is_looked_up || is_mistaken;
        let done = world.payment.transactions.values().filter(|other| {
            let is_alike = other.id == *id || are_together && same(other.kind, other.amount);
            is_alike && other.last_reported_state() == State::Success
        });
        let moved = world.effects.iter().filter(|effect| {
            let is_mine = effect.transaction.as_ref() == Some(id);
            let is_alike = is_mine || are_together && same(effect.kind, effect.amount);
            is_alike && effect.is_done
        });
        Alike { done: done.count(), moved: moved.count() }
    }

    /// Checks that everything is final, and that the ledger equals the PSP's.
    fn check_end(&mut self) {
        if self.is_open() {
            let mut world = locked(&self.world);
            let open: Vec<_> = world.payment.open_transactions().cloned().collect();
            world.note(|| format!("open: {open:?}"));
            world.violated("not final after a fact");
        }
        self.check_sums();
        let mut world = locked(&self.world);
        if world.recover_at.is_some() && world.violation.is_none() {
            world.violated("something final is still in the index");
        }
        // The caller may have sent a new request: these must never have an effect.
        for id in &self.not_sent {
            if world.moves_of(id) > 0 {
                world.violated(format!("{id} was answered as not sent, and moved money"));
            }
        }
        drop(world);
        for client in 0..self.plan.clients.len() {
            self.check_client(client);
        }
    }

    /// Checks that the ledger has exactly the effects that happened; as a sum, where
    /// reports are ambiguous. No discrepancy remains if all reports were true and
    /// unambiguous.
    fn check_sums(&self) {
        let mut world = locked(&self.world);
        let payment = world.payment.clone();
        let flagged: Vec<_> = payment.discrepancies().map(|found| found.id.to_string()).collect();
        if !flagged.is_empty() {
            world.violated(format!("{flagged:?} is flagged after an operator looked"));
        }
        for one in payment.transactions.values() {
            let is_ours = !one.id.as_str().starts_with("fact-");
            let Alike { done, moved } = self.alike(&world, &one.id);
            if is_ours && done != moved {
                let what = format!(
                    "{} is {:?}: {done} should have moved money, {moved} did",
                    one.id, one.state
                );
                world.violated(what);
            }
        }
        let groups = world.effects.iter().map(|effect| group(effect.kind, effect.amount));
        let groups: BTreeSet<_> = groups.collect();
        for of in groups {
            let moved = world.effects.iter().filter(|effect| effect.is_done);
            let moved = moved.filter(|effect| group(effect.kind, effect.amount) == of).count();
            let done = payment.transactions.values().filter(|one| one.state == State::Success);
            let done = done.filter(|one| group(one.kind, one.amount) == of).count();
            if done != moved {
                world.violated(format!("{of:?}: the ledger has {done}, the PSP {moved}"));
            }
        }
    }
}

impl World {
    /// True if a last report is outstanding: for an effect that we did not send, one that
    /// changed, one with a wrong report, or one whose id another transaction has.
    fn is_report_outstanding(&self, index: usize) -> bool {
        let effect = &self.effects[index];
        let is_mistaken = self.is_mistaken(effect.kind, effect.amount);
        let named = self.payment.transactions.values();
        let mut named = named.filter(|one| one.interaction_id == effect.reference);
        let is_there =
            named.any(|one| one.state_awaiting_balances.unwrap_or(one.state) == effect.state());
        let is_news = effect.transaction.is_none() || effect.applied_state.is_some();
        is_news && effect.applied_state != Some(effect.state()) || is_mistaken && !is_there
    }
}

/// The numbers of indistinguishable transactions that are successful by the ledger, and at
/// the PSP.
#[derive(Clone, Copy, Debug, Default)]
struct Alike {
    done: usize,
    moved: usize,
}
