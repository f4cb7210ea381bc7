//! The oracle: at every reservation, this amount and all effects that may have happened by
//! the reports so far do not exceed the money. It knows the PSP's effects and the reports,
//! and nothing of the service's decisions.

use crate::landing::group;
use crate::psp::{Effect, Style};
use crate::world::{Op, SKEW_MS, World};
use payment_intents::payment::{Payment, State, Transaction, TransactionId, TransactionKind};
use std::collections::BTreeMap;

type Group = (TransactionKind, u64);

/// The number of effects of one kind and amount that may have happened.
#[derive(Default)]
struct Count {
    /// Our transactions that were reported as successful.
    ours_reported: u64,
    /// Our transactions that the PSP carried out, or may carry out, without a report: by
    /// the version of their reservation.
    ours_unreported: Vec<u64>,
    /// Reported effects that we did not send: by the version before which they happened.
    others: Vec<u64>,
    /// Of those, the ones that happened before our first transaction.
    others_before: u64,
}

impl Count {
    /// The number of effects, where some may be the same one.
    fn len(&self) -> u64 {
        let listed = self.ours_unreported.len() + self.others.len();
        self.ours_reported + self.others_before + listed as u64
    }

    /// A report without our id may be about any of our unreported transactions that were
    /// reserved before it: then both are one effect. Each further report is a further
    /// effect.
    fn total(&mut self) -> u64 {
        self.ours_unreported.sort_unstable();
        self.others.sort_unstable();
        // An effect with an old timestamp can only be a transaction that began before.
        let past = self.ours_unreported.iter().filter(|reserved_at| **reserved_at == 0).count();
        let mut same = past.min(usize::try_from(self.others_before).unwrap());
        let distinct_before = self.others_before - same as u64;
        self.ours_unreported.drain(..same);
        same = 0;
        for reported_at in &self.others {
            if self.ours_unreported.get(same).is_some_and(|reserved_at| reserved_at < reported_at) {
                same += 1;
            }
        }
        let distinct = self.ours_unreported.len() + self.others.len() - same;
        let past = self.others_before - distinct_before;
        self.ours_reported + distinct as u64 + distinct_before + past
    }
}

impl World {
    /// Records the content of a report, from the write that stores it.
    pub fn record_reports(&mut self) {
        let Some(sent_report) = self.sent_report.clone() else { return };
        let state = sent_report.state();
        if state == State::Unknown {
            return;
        }
        let is_named = sent_report.fact().is_some_and(|fact| fact.interaction_id.is_some());
        let is_own = sent_report.fact().is_some_and(|fact| fact.interface_id.is_some());
        let is_by_id =
            sent_report.fact().is_none() || is_own || is_named && self.style != Style::Shared;
        if let Some(id) = &sent_report.transaction
            && (is_by_id || sent_report.effect.is_none())
        {
            self.reported_states.insert(id.clone(), state);
        }
        // A report by our own id is also about the effect by whose PSP id the transaction
        // is shown.
        let shown = sent_report.transaction.as_ref().filter(|_| sent_report.fact().is_none());
        let shown = shown.and_then(|id| self.payment.transactions.get(id));
        if let Some(name) = shown.and_then(|ours| ours.interaction_id.clone()) {
            let is_shown = |effect: &&mut Effect| effect.reference.as_ref() == Some(&name);
            for effect in self.effects.iter_mut().filter(is_shown) {
                if effect.transaction.is_none() {
                    effect.told = Some(state);
                }
            }
        }
        let is_its = |effect: &Effect| {
            sent_report.transaction.is_some() && effect.transaction == sent_report.transaction
        };
        if let Some(index) = sent_report.effect.or_else(|| self.effects.iter().position(is_its)) {
            let version = self.payment.version;
            let effect = &mut self.effects[index];
            effect.told = Some(state);
            effect.is_reported_by_psp_id |= is_named;
            effect.reported_at = if effect.reported_at == 0 { version } else { effect.reported_at };
        }
    }

    /// Checks a write. If it allows a call to the connector, there must be enough money for
    /// its effect.
    pub fn check_send(&mut self, before: &Payment) {
        let Some(slot) = self.payment.in_flight.clone() else { return };
        let was_held = before.in_flight.as_ref().is_some_and(|held| held.nonce == slot.nonce);
        if was_held || slot.attempt > 1 || !self.is_played || self.is_misled {
            return;
        }
        let Some(sent) = self.payment.transactions.get(&slot.transaction).cloned() else { return };
        let amount = sent.amount.minor_units();
        let (most, room) = match sent.kind {
            TransactionKind::Charge | TransactionKind::CancelAuthorization => {
                (self.may_be_placed(&sent.id) + amount, self.told_authorized())
            }
            TransactionKind::Refund => {
                (self.may_be_refunded(&sent.id) + amount, self.told_captured(&sent.id))
            }
            TransactionKind::Authorization | TransactionKind::Chargeback => return,
        };
        if most > room {
            self.violated(format!("{} makes {most} of {room} by what was told", sent.id));
        }
    }

    fn told_authorized(&self) -> u64 {
        let told = self.effects.iter().filter(|effect| {
            effect.kind == TransactionKind::Authorization && effect.told == Some(State::Success)
        });
        told.map(|effect| effect.amount.minor_units()).sum()
    }

    fn may_be_placed(&self, except: &TransactionId) -> u64 {
        self.sum(&[TransactionKind::Charge, TransactionKind::CancelAuthorization], except, true)
    }

    fn may_be_refunded(&self, except: &TransactionId) -> u64 {
        self.sum(&[TransactionKind::Refund, TransactionKind::Chargeback], except, true)
    }

    fn told_captured(&self, except: &TransactionId) -> u64 {
        self.sum(&[TransactionKind::Charge], except, false)
    }

    /// The sum of the effects that may have happened; of those that certainly have, if
    /// `may` is false.
    fn sum(&self, kinds: &[TransactionKind], except: &TransactionId, may: bool) -> u64 {
        let mut counts: BTreeMap<Group, (u64, Count)> = BTreeMap::new();
        for effect in self.effects.iter().filter(|effect| kinds.contains(&effect.kind)) {
            if effect.transaction.as_ref() == Some(except) {
                continue;
            }
            let of = group(effect.kind, effect.amount);
            let entry = counts.entry(of).or_default();
            let counted = entry.1.len();
            self.count(effect, may, &mut entry.1);
            if entry.1.len() > counted {
                entry.0 = entry.0.max(effect.amount.minor_units());
            }
        }
        if may {
            for open in self.open_without_effect(kinds, except) {
                let of = group(open.kind, open.amount);
                let entry = counts.entry(of).or_default();
                entry.0 = entry.0.max(open.amount.minor_units());
                entry.1.ours_unreported.push(self.reserved_at(&open.id));
            }
        }
        counts.values_mut().map(|(amount, count)| *amount * count.total()).sum()
    }

    fn count(&self, effect: &Effect, may: bool, count: &mut Count) {
        let told = match effect.told {
            Some(State::Success) => Some(true),
            Some(State::Pending) => Some(true).filter(|_| may),
            Some(State::Failure) => Some(false),
            Some(State::Initial | State::Unknown) | None => None,
        };
        let is_distinct = effect.reference.is_some();
        match (&effect.transaction, told) {
            // A Failure without an id counts, if only one transaction can have failed.
            (Some(id), _) if may && self.is_failed_by_report(id) => {}
            // A later answer says that it happened.
            (Some(id), Some(false)) if !may && self.is_known(id) => {
                count.ours_unreported.push(self.reserved_at(id));
            }
            // Rejected by its answer and reported as successful: it may be any effect of
            // its kind and amount.
            (Some(id), Some(true)) if self.is_rejected(id) => {
                if count.others.is_empty() {
                    count.others.push(effect.reported_at);
                }
            }
            (Some(_), Some(true))
                if effect.is_reported_by_psp_id && (self.style == Style::Named || !may) =>
            {
                count.ours_reported += 1;
            }
            // A look-up distinguished it from the others.
            (Some(id), _) if !may && effect.is_seen && self.is_known(id) => {
                count.ours_reported += 1
            }
            (Some(id), Some(true)) => count.ours_unreported.push(self.reserved_at(id)),
            (Some(_), Some(false)) => {}
            (Some(id), None) => {
                if effect.has_acted && (may || self.is_known(id)) {
                    count.ours_unreported.push(self.reserved_at(id));
                }
            }
            // A look-up showed that it failed.
            (None, Some(true)) if may && effect.is_seen_to_fail => {}
            (None, Some(true)) if effect.is_backdated && (is_distinct || !may) => {
                count.others_before += 1
            }
            (None, Some(true)) if is_distinct => count.others.push(self.began_before(effect)),
            // It was the only one that had begun, and a report says that it failed.
            (None, Some(true)) if self.may_have_failed(effect) => {}
            // Several reports without an id may be about the same effect.
            (None, Some(true)) if count.others.is_empty() => {
                count.others.push(self.began_before(effect));
            }
            (None, Some(true)) => {}
            // The look-up that found it may have matched it to one of ours.
            (None, None) if effect.is_seen && !may => count.others.push(effect.reported_at),
            (None, Some(false) | None) => {}
        }
    }

    /// The version before which our transaction must have been reserved to be this effect,
    /// by the report's time and by the effect's timestamp.
    fn began_before(&self, effect: &Effect) -> u64 {
        if !self.is_timed {
            return effect.reported_at;
        }
        let latest = effect.at.plus_ms(SKEW_MS);
        let ours = self.payment.transactions.values();
        let ours = ours.filter(|ours| !ours.is_external && ours.timestamp <= latest);
        let reserved = ours.map(|ours| self.reserved_at(&ours.id)).max().unwrap_or(0);
        effect.reported_at.min(reserved + 1)
    }

    /// True if a Failure without an id was reported after `begun` was reported without an
    /// id. Without ids, the ledger takes both for one effect.
    fn may_have_failed(&self, begun: &Effect) -> bool {
        let is_failure = |effect: &Effect| {
            let is_alike = group(effect.kind, effect.amount) == group(begun.kind, begun.amount);
            let is_later =
                effect.told == Some(State::Failure) && effect.reported_at > begun.reported_at;
            is_alike && is_later && effect.reference.is_none() && effect.transaction.is_none()
        };
        begun.told == Some(State::Pending) && self.effects.iter().any(is_failure)
    }

    /// True if the ledger has the transaction as Success, without a dispute.
    fn is_known(&self, id: &TransactionId) -> bool {
        let ours = self.payment.transactions.get(id);
        ours.is_some_and(|ours| ours.state == State::Success && !ours.is_discrepant())
    }

    /// True if the transaction failed by its answer.
    fn is_rejected(&self, id: &TransactionId) -> bool {
        let ours = self.payment.transactions.get(id);
        ours.is_some_and(|ours| ours.state == State::Failure && ours.reported.is_none())
    }

    /// The version at which a transaction of ours was reserved; 0 for earlier ones.
    fn reserved_at(&self, id: &TransactionId) -> u64 {
        self.reserved_at.get(id).copied().unwrap_or(0)
    }

    /// The transaction in flight, or still on its way to the connector.
    fn open_without_effect(
        &self,
        kinds: &[TransactionKind],
        except: &TransactionId,
    ) -> Vec<Transaction> {
        let calls = |id: &TransactionId| {
            let is_call = |op: &Op| matches!(op, Op::Call(call) if call.transaction == *id);
            let pending = self.processes.iter().filter_map(|process| process.pending.as_ref());
            pending.chain(self.late.iter().map(|late| &late.op)).any(is_call)
        };
        let ours = self.payment.transactions.values();
        let ours = ours.filter(|ours| kinds.contains(&ours.kind) && ours.id != *except);
        let ours = ours.filter(|ours| self.of(&ours.id).next().is_none() && calls(&ours.id));
        ours.filter(|ours| !self.is_failed_by_report(&ours.id)).cloned().collect()
    }

    /// True if a Failure was reported about this transaction, or could only be about it,
    /// and no later report contradicts.
    fn is_failed_by_report(&self, id: &TransactionId) -> bool {
        let is_told = self.reported_states.get(id) == Some(&State::Failure);
        let by_likeness = self
            .payment
            .transactions
            .get(id)
            .is_some_and(|ours| ours.state == State::Failure && ours.likeness.is_some());
        is_told || by_likeness && self.failed_alone.contains(id)
    }

    /// Records that a write matched a Failure to the only transaction that could have
    /// failed, so that another Failure without a known id counts as the same.
    pub fn record_only_failure(&mut self, before: &Payment) {
        let failed: Vec<_> = self
            .payment
            .transactions
            .values()
            .filter(|ours| ours.state == State::Failure && ours.likeness.is_some())
            .filter(|ours| {
                let same = |other: &&Transaction| {
                    group(other.kind, other.amount) == group(ours.kind, ours.amount)
                };
                let can_fail = |other: &&Transaction| {
                    other.state.is_open() && other.waiting_failure.is_none() || other.id == ours.id
                };
                let is_in_flight = before.is_in_flight(&ours.id);
                let alike = before.transactions.values().filter(same).filter(can_fail);
                let named =
                    |other: &&Transaction| other.id != ours.id && other.interaction_id.is_some();
                !is_in_flight && alike.filter(|one| !named(one)).count() == 1
            })
            .map(|ours| ours.id.clone())
            .collect();
        self.failed_alone.extend(failed);
    }
}
