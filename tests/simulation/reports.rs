//! Reports by connectors, webhooks and operators: their content, and their delivery.

use crate::answers::Answered;
use crate::landing::{SentReport, reported_amount};
use crate::ports::locked;
use crate::psp::Effect;
use crate::runs::INVOCATION_MS;
use crate::schedule::Schedule;
use crate::world::{Doing, Op, World, key};
use payment_intents::payment::{Report, State, Transaction, TransactionId, Update, UpdateRefusal};
use payment_intents::service::{Change, Service, UpdateError};

/// The age of a timestamp that has nothing to do with the reported effect.
const YEARS_MS: u64 = 100_000_000_000;

/// The number of times that a report is repeated after a conflict or a failure.
const TRIES: usize = 4;

/// A report that can be made.
#[derive(Clone, Copy, Debug)]
pub enum PossibleReport {
    /// The state of an effect, as a new transaction.
    TrueState(usize),
    /// The state of a transaction, by its id.
    TrueStateById(usize),
    /// The state of an effect, by the PSP's id and by our own.
    TrueStateByBothIds(usize),
    /// The PSP has begun.
    Begun(usize),
    /// An untrue state.
    UntrueState(usize),
    /// A transaction did not happen, and never will.
    NeverHappened(usize),
    /// A failure, as seen by a connector that is still at work.
    PrematureFailure(usize),
}

impl Schedule {
    /// All reports that can be made now.
    pub fn possible_reports(&self, world: &World) -> Vec<PossibleReport> {
        let mut reports = Vec::new();
        for (index, effect) in world.effects.iter().enumerate() {
            if is_news(effect) && !world.is_indistinct(effect) {
                reports.push(PossibleReport::TrueState(index));
            }
            if is_news(effect) && world.recorded(effect).is_some() {
                reports.push(PossibleReport::TrueStateById(index));
            }
            if is_news(effect) && effect.transaction.is_some() {
                reports.push(PossibleReport::TrueStateByBothIds(index));
            }
            if effect.is_done && effect.applied_state.is_none() && is_news(effect) {
                reports.push(PossibleReport::Begun(index));
            }
            if self.plan.untrue_reports > 0 {
                reports.push(PossibleReport::UntrueState(index));
            }
        }
        for (index, open) in world.payment.open_transactions().enumerate() {
            if world.cannot_happen(&open.id) {
                reports.push(PossibleReport::NeverHappened(index));
            }
            if !world.tier.is_trusted() && world.is_at_work(&open.id) {
                reports.push(PossibleReport::PrematureFailure(index));
            }
        }
        reports
    }

    /// Sends a report, and repeats it until it is applied.
    pub fn report_until_applied(&mut self, report: PossibleReport) {
        let Some(sent_report) = self.sent_report(report) else { return };
        match report {
            PossibleReport::UntrueState(index) => {
                let mut world = locked(&self.world);
                let (kind, amount) = (world.effects[index].kind, world.effects[index].amount);
                world.contradicted(kind, amount);
                world.is_misled = true;
            }
            PossibleReport::PrematureFailure(_) => locked(&self.world).is_doubted = true,
            PossibleReport::TrueState(_)
            | PossibleReport::TrueStateById(_)
            | PossibleReport::TrueStateByBothIds(_)
            | PossibleReport::Begun(_)
            | PossibleReport::NeverHappened(_) => {}
        }
        self.send_report(sent_report, matches!(report, PossibleReport::PrematureFailure(_)));
    }

    /// Sends one report. A connector stops repeating it when its own work ends.
    pub fn send_report(&mut self, sent_report: SentReport, is_at_work: bool) {
        self.words += 1;
        let by = format!("psp-{}", self.words);
        let (deadline, mut version) = {
            let mut world = locked(&self.world);
            world.note(|| format!("told: {:?}", sent_report.update));
            (world.now.plus_ms(INVOCATION_MS), world.payment.version)
        };
        let doing = Doing::SentReport(sent_report.clone());
        self.begin(doing, None, deadline, |port| async move {
            let service = Service::new(port.clone(), port.clone(), port.clone());
            let id = sent_report.transaction.clone().filter(|_| is_at_work);
            for _ in 0..TRIES {
                if id.as_ref().is_some_and(|id| !locked(&port.world).is_at_work(id)) {
                    return None;
                }
                let updates = vec![sent_report.update.clone()];
                let change = Change { key: key(), version, updates, by: Some(by.clone()) };
                match service.update(change).await {
                    Ok(told) => {
                        locked(&port.world).check_applied_report(&told, &sent_report);
                        return Some(Answered::Told);
                    }
                    Err(UpdateError::Stale { current }) => version = current,
                    Err(UpdateError::Store(_)) => {}
                    Err(UpdateError::NotFound | UpdateError::KeyTaken(_)) => return None,
                    // The transaction was withdrawn meanwhile, and never sent.
                    Err(UpdateError::Refused(UpdateRefusal::NoSuchTransaction(_))) => return None,
                    Err(UpdateError::Refused(refusal)) => {
                        locked(&port.world).violated(format!("a report was refused: {refusal}"));
                        return None;
                    }
                }
            }
            None
        });
    }

    fn sent_report(&self, report: PossibleReport) -> Option<SentReport> {
        let world = locked(&self.world);
        let id = TransactionId::parse(&format!("fact-{}", self.words)).unwrap();
        let of = |index: usize| (Some(index), &world.effects[index]);
        let open = |index: usize| world.payment.open_transactions().nth(index);
        let added = |(index, effect): (Option<usize>, &Effect), state| {
            let is_ours = effect.transaction.is_some();
            let report = Report {
                kind: effect.kind,
                state,
                amount: reported_amount(effect.kind, effect.amount, is_ours),
                timestamp: if effect.is_backdated {
                    Some(effect.at.minus_ms(YEARS_MS))
                } else {
                    self.plan.is_timed.then_some(effect.at)
                },
                interaction_id: effect.reference.clone(),
                interface_id: None,
            };
            let update = Update::AddTransaction { id: id.clone(), report };
            SentReport { effect: index, transaction: effect.transaction.clone(), update }
        };
        let changed = |effect: Option<usize>, id: TransactionId, state| {
            let update = Update::ChangeTransactionState { id: id.clone(), state };
            SentReport { effect, transaction: Some(id), update }
        };
        Some(match report {
            PossibleReport::TrueState(index) => added(of(index), world.effects[index].state()),
            PossibleReport::Begun(index) => added(of(index), State::Pending),
            PossibleReport::UntrueState(index) => {
                let is_done = world.effects[index].is_done;
                added(of(index), if is_done { State::Failure } else { State::Success })
            }
            PossibleReport::TrueStateByBothIds(index) => {
                let mut sent_report = added(of(index), world.effects[index].state());
                if let Update::AddTransaction { report, .. } = &mut sent_report.update {
                    let own = world.effects[index].transaction.as_ref()?;
                    report.interface_id = Some(own.to_string());
                }
                sent_report
            }
            PossibleReport::TrueStateById(index) => {
                let effect = &world.effects[index];
                changed(Some(index), world.recorded(effect)?, effect.state())
            }
            PossibleReport::NeverHappened(index) => {
                changed(None, open(index)?.id.clone(), State::Failure)
            }
            PossibleReport::PrematureFailure(index) => {
                let open = open(index)?;
                let report = Report {
                    kind: open.kind,
                    state: State::Failure,
                    amount: reported_amount(open.kind, open.amount, true),
                    timestamp: self.plan.is_timed.then_some(world.now),
                    interaction_id: world.style.reference(&open.id),
                    interface_id: None,
                };
                let update = Update::AddTransaction { id, report };
                SentReport { effect: None, transaction: Some(open.id.clone()), update }
            }
        })
    }

    /// Records that a report was applied, or that this is unknown.
    pub fn record_applied(&mut self, sent_report: &SentReport, is_applied: bool) {
        let mut world = locked(&self.world);
        let applied_state = if is_applied { sent_report.state() } else { State::Unknown };
        let is_its = |effect: &Effect| {
            sent_report.transaction.is_some() && effect.transaction == sent_report.transaction
        };
        // An effect that had not happened at the time of the report may have happened by
        // now.
        let meant = sent_report.effect.or_else(|| world.effects.iter().position(is_its));
        if let Some(index) = meant {
            world.effects[index].applied_state = Some(applied_state);
        }
    }
}

/// A registered state is no news, until it changes.
fn is_news(effect: &Effect) -> bool {
    let is_past = effect.transaction.as_ref().is_some_and(|id| id.as_str().starts_with("past-"));
    !is_past || effect.applied_state.is_some()
}

impl World {
    /// True if this report, repeated, cannot be told from one about another transaction.
    fn is_indistinct(&self, effect: &Effect) -> bool {
        let same = |other: &&Effect| (other.kind, other.amount) == (effect.kind, effect.amount);
        effect.reference.is_none()
            && effect.applied_state == Some(effect.state())
            && (self.effects.iter().filter(same).count() > 1
                || self
                    .payment
                    .transactions
                    .values()
                    .filter(|ours| (ours.kind, ours.amount) == (effect.kind, effect.amount))
                    .count()
                    > 1)
    }

    /// The transaction of the effect in the ledger.
    pub fn recorded(&self, effect: &Effect) -> Option<TransactionId> {
        if let Some(id) = &effect.transaction {
            return self.payment.transactions.contains_key(id).then(|| id.clone());
        }
        let reference = effect.reference.as_ref()?;
        let mut all = self.payment.transactions.values();
        let is_same = |one: &&Transaction| {
            (one.kind, one.amount) == (effect.kind, effect.amount)
                && one.interaction_id.as_ref() == Some(reference)
        };
        all.find(is_same).map(|found| found.id.clone())
    }

    /// True if the transaction can no longer be sent, or its connector has finally rejected
    /// it.
    fn cannot_happen(&self, id: &TransactionId) -> bool {
        let is_in_flight = self.payment.is_in_flight(id);
        let is_sent_again = self.tier.policy().resend != payment_intents::ports::Resend::Never;
        let is_idle = !is_in_flight && !self.is_at_work(id) && !is_sent_again;
        let ours = self.payment.transactions.get(id);
        let is_ours = ours.is_some_and(|ours| !ours.is_external);
        is_ours && is_idle && self.of(id).count() == 0
    }

    /// True if a connector is working on it.
    fn is_at_work(&self, id: &TransactionId) -> bool {
        let calls = |op: &Op| matches!(op, Op::Call(call) if call.transaction == *id);
        let pending = self.processes.iter().filter_map(|process| process.pending.as_ref());
        pending.chain(self.late.iter().map(|late| &late.op)).any(calls)
    }
}
