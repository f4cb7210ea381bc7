//! The model of a PSP that is called directly, by the rules of Stripe without multicapture.
//!
//! * A key repeats its saved answer for a day, also an error. Nothing is carried out for a
//!   key whose first request is still being carried out.
//! * The first capture is the last one: it releases the rest of the authorization.
//! * Captures and refunds of ours are shown with our own id.

use crate::psp::{Decision, Effect, KEYS_KEPT_MS, Tier, kind_of};
use crate::world::{Answer, World, eur};
use payment_intents::payment::{Report, State, TransactionId, TransactionKind};
use payment_intents::ports::{Call, Verdict};

/// The amount that is authorized.
const AUTHORIZED: u64 = 100;

/// An object at the PSP, and the part of the Payment that it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    /// The authorization, its capture and its release.
    Intent,
    Refunds,
    Disputes,
}

impl Object {
    pub const ALL: [Self; 3] = [Self::Intent, Self::Refunds, Self::Disputes];
}

/// The answer that is saved for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Saved {
    Approved,
    Received,
    Rejected,
    /// An error, which says nothing about the effect.
    Error,
}

impl World {
    /// The answer to a call that reaches the PSP.
    pub fn answer_call(&mut self, call: &Call, decision: Decision) -> Answer {
        if self.tier != Tier::Direct {
            return Answer::Verdict(self.act(call, decision));
        }
        let id = &call.transaction;
        if self.working.contains(id) {
            return Answer::Unclear;
        }
        let known = self.saved.get(id).filter(|(_, at)| self.now.ms_since(*at) < KEYS_KEPT_MS);
        if let Some((saved, _)) = known.copied() {
            return self.repeated(id, saved);
        }
        let effect = Effect::new(kind_of(call), call.amount, self.now, Some(id.clone()));
        let (acts, saved) = match decision {
            _ if !self.is_possible(&effect) => (false, Saved::Rejected),
            Decision::Reject => (false, Saved::Rejected),
            Decision::Fail => (false, Saved::Error),
            Decision::ActAndFail => (true, Saved::Error),
            Decision::Receive => (true, Saved::Received),
            Decision::Approve | Decision::ActAndReject | Decision::ApproveWithoutActing => {
                (true, Saved::Approved)
            }
        };
        self.saved.insert(id.clone(), (saved, self.now));
        let has_effect = acts || saved == Saved::Rejected;
        if has_effect {
            let reference = Some(format!("psp-{id}"));
            let moves = u8::from(acts);
            self.effects.push(Effect {
                is_done: acts,
                has_acted: acts,
                moves,
                reference,
                ..effect
            });
        }
        if acts {
            self.check_move(id);
            self.release_rest(kind_of(call));
        }
        // The connector could not look the error up.
        saved.verdict().map_or(Answer::Unclear, Answer::Verdict)
    }

    /// The saved answer. The connector looks up the effect of an error.
    fn repeated(&self, id: &TransactionId, saved: Saved) -> Answer {
        let is_done = self.of(id).any(|effect| effect.is_done);
        match saved.verdict() {
            Some(verdict) => Answer::Verdict(verdict),
            None if is_done => Answer::Verdict(Verdict::Approved),
            None => Answer::Unclear,
        }
    }

    /// True if the PSP can carry this out.
    pub fn is_possible(&self, effect: &Effect) -> bool {
        let amount = effect.amount.minor_units();
        match effect.kind {
            TransactionKind::Charge => self.is_capturable() && amount <= AUTHORIZED,
            TransactionKind::CancelAuthorization => self.is_capturable(),
            TransactionKind::Refund | TransactionKind::Chargeback => {
                amount <= self.left_to_refund()
            }
            TransactionKind::Authorization => false,
        }
    }

    /// True if the authorization was neither captured nor released.
    pub fn is_capturable(&self) -> bool {
        self.done(TransactionKind::Authorization) > 0
            && self.done(TransactionKind::Charge) == 0
            && self.done(TransactionKind::CancelAuthorization) == 0
    }

    /// The amount that is captured and not refunded.
    pub fn left_to_refund(&self) -> u64 {
        self.done(TransactionKind::Charge)
            .saturating_sub(self.done(TransactionKind::Refund))
            .saturating_sub(self.done(TransactionKind::Chargeback))
    }

    /// Releases the rest of the authorization after a capture.
    pub fn release_rest(&mut self, kind: TransactionKind) {
        let rest = AUTHORIZED.saturating_sub(self.done(TransactionKind::Charge));
        if kind == TransactionKind::Charge && rest > 0 {
            let release =
                Effect::new(TransactionKind::CancelAuthorization, eur(rest), self.now, None);
            self.effects.push(Effect { is_done: true, has_acted: true, moves: 1, ..release });
        }
    }

    /// The current state of an object.
    pub fn shown_object(&self, object: Object) -> Vec<Report> {
        match object {
            Object::Intent => self.shown_intent(),
            Object::Refunds => self.shown_by_id(TransactionKind::Refund),
            Object::Disputes => self.shown_by_id(TransactionKind::Chargeback),
        }
    }

    /// The reports of a look-up. Only a cancel has a time.
    pub fn shown_to_look_up(&self) -> Vec<Report> {
        let mut shown = self.shown_intent();
        shown.retain(|report| report.kind != TransactionKind::Authorization);
        shown.extend(self.shown_by_id(TransactionKind::Refund));
        for report in &mut shown {
            if report.kind != TransactionKind::CancelAuthorization {
                report.timestamp = None;
            }
        }
        shown
    }

    fn shown_intent(&self) -> Vec<Report> {
        let mut shown = Vec::new();
        for capture in self.effects.iter().filter(|one| one.is_done) {
            if capture.kind == TransactionKind::Charge {
                let report = self.shown_report(capture, State::Success);
                let interaction_id =
                    report.interaction_id.filter(|_| report.interface_id.is_none());
                shown.push(Report { timestamp: None, interaction_id, ..report });
            }
        }
        let released = self.effects.iter().find(|one| {
            one.is_done && one.kind == TransactionKind::CancelAuthorization && shown.is_empty()
        });
        shown.extend(released.map(|released| Report {
            interaction_id: None,
            interface_id: None,
            ..self.shown_report(released, State::Success)
        }));
        if self.is_capturable() || self.done(TransactionKind::Charge) > 0 {
            shown.push(Report {
                kind: TransactionKind::Authorization,
                state: State::Success,
                amount: eur(AUTHORIZED),
                timestamp: None,
                interaction_id: None,
                interface_id: None,
            });
        }
        shown
    }

    /// The effects of this kind. A rejected one is not shown.
    fn shown_by_id(&self, kind: TransactionKind) -> Vec<Report> {
        let all = self.effects.iter().filter(|one| one.kind == kind);
        let all = all.filter(|one| one.moves > 0 || one.transaction.is_none());
        all.map(|one| self.shown_report(one, one.state())).collect()
    }

    fn shown_report(&self, effect: &Effect, state: State) -> Report {
        let own = effect.transaction.as_ref().filter(|id| !id.as_str().starts_with("past-"));
        Report {
            kind: effect.kind,
            state,
            amount: effect.amount,
            timestamp: Some(effect.at),
            interaction_id: effect.reference.clone(),
            interface_id: own.map(ToString::to_string),
        }
    }

    /// True if an error is saved for a key whose request was not carried out.
    pub fn has_error_without_effect(&self) -> bool {
        let is_error = |(id, (saved, _)): (&TransactionId, &(Saved, _))| {
            *saved == Saved::Error && self.of(id).next().is_none()
        };
        self.saved.iter().any(is_error)
    }

    /// Checks that the ledger has exactly the effects of the PSP: ours by their ids, and all
    /// by their amounts.
    pub fn check_direct_end(&mut self) {
        let payment = self.payment.clone();
        // An authorization that was released in whole before its first webhook was read is
        // shown like one that was refused.
        let is_unseen = payment.balances.authorized.is_zero()
            && self.done(TransactionKind::CancelAuthorization) == AUTHORIZED;
        for kind in [
            TransactionKind::Authorization,
            TransactionKind::Charge,
            TransactionKind::CancelAuthorization,
            TransactionKind::Refund,
            TransactionKind::Chargeback,
        ] {
            let done = payment.transactions.values();
            let done = done.filter(|one| one.kind == kind && one.state == State::Success);
            let done: u64 = done.map(|one| one.amount.minor_units()).sum();
            let is_of_authorization = matches!(
                kind,
                TransactionKind::Authorization | TransactionKind::CancelAuthorization
            );
            let moved = if is_unseen && is_of_authorization { 0 } else { self.done(kind) };
            if done != moved {
                self.violated(format!("{kind:?}: the ledger has {done}, the PSP {moved}"));
            }
        }
        let flagged: Vec<_> = payment.discrepancies().map(|one| one.id.to_string()).collect();
        if !flagged.is_empty() {
            self.violated(format!("{flagged:?} has a discrepancy after all webhooks"));
        }
        for one in payment.transactions.values().filter(|one| !one.is_external) {
            let is_own = self.of(&one.id).any(|effect| effect.is_done);
            // A cancel has no id, so it may be one of others.
            let is_cancel = one.kind == TransactionKind::CancelAuthorization;
            let is_cancelled = is_cancel && self.done(TransactionKind::Charge) == 0;
            let is_of_others =
                is_cancelled && self.done(one.kind) > 0 && one.state == State::Success;
            let is_done = is_own || is_of_others;
            if (one.state == State::Success) != is_done {
                self.violated(format!("{} is {:?}; it happened: {is_done}", one.id, one.state));
            }
        }
    }
}

impl Saved {
    fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Approved => Some(Verdict::Approved),
            Self::Received => Some(Verdict::Received(None)),
            Self::Rejected => Some(Verdict::Rejected(None)),
            Self::Error => None,
        }
    }
}
