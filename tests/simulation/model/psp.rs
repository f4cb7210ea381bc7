//! The model of the PSP and its connector: the effects, the refusals, and the available
//! money.

use crate::landing::group;
use crate::world::{World, eur};
use payment_intents::money::Money;
use payment_intents::payment::{Action, Report, State, Timestamp, TransactionId, TransactionKind};
use payment_intents::ports::{Absence, Call, Lookup, Policy, Rejections, Resend, Rest, Verdict};

/// The time that a connector may continue after our deadline.
pub const CONNECTOR_WORKS_MS: u64 = 300_000;

/// The time for which the connector promises to honour a key.
pub const RESEND_WINDOW_MS: u64 = 72_000_000;

/// The time for which it really honours a key.
pub const KEYS_KEPT_MS: u64 = 86_400_000;

/// The abilities of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Honours keys.
    SameKey,
    /// A PSP that is called directly: honours keys, shows effects by our id, and releases the
    /// rest of an authorization with a capture.
    Direct,
    /// Does not honour keys, but records every transaction before it answers.
    Queryable,
    /// As `Queryable`, but records late, and reports transactions as failed that may have
    /// happened.
    LateRecorder,
    /// Does not honour keys, and shows nothing to a look-up.
    Opaque,
    /// As `Opaque`, and answers `rejected` although it acted.
    Untrusted,
}

impl Tier {
    pub const CONNECTORS: [Self; 5] =
        [Self::SameKey, Self::Queryable, Self::LateRecorder, Self::Opaque, Self::Untrusted];

    pub fn policy(self) -> Policy {
        let cautious = Policy { rejected: Rejections::Unproven, ..Policy::default() };
        match self {
            Self::SameKey => Policy {
                resend: Resend::SameKey { window_ms: RESEND_WINDOW_MS },
                ..Policy::default()
            },
            Self::Direct => Policy {
                resend: Resend::SameKey { window_ms: RESEND_WINDOW_MS },
                lookup: Lookup::Payment,
                absence: Absence::Proof,
                rest: Rest::Released,
                ..Policy::default()
            },
            Self::Queryable => {
                Policy { lookup: Lookup::Payment, absence: Absence::Proof, ..Policy::default() }
            }
            Self::LateRecorder => Policy { lookup: Lookup::Payment, ..cautious },
            Self::Opaque => Policy::default(),
            Self::Untrusted => cautious,
        }
    }

    /// True if its `rejected` proves that nothing moved.
    pub fn is_trusted(self) -> bool {
        self.policy().rejected == Rejections::Final
    }
}

/// The decision of the PSP about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    Approve,
    Receive,
    Reject,
    /// Acts, and answers that it did not (an untrusted connector).
    ActAndReject,
    /// Does nothing, and answers that it acted.
    ApproveWithoutActing,
    /// Acts, and saves an error as its answer.
    ActAndFail,
    /// Does nothing, and saves an error as its answer.
    Fail,
}

/// An effect of the PSP, or a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Effect {
    /// Our transaction; `None` for an effect that we did not send.
    pub transaction: Option<TransactionId>,
    pub kind: TransactionKind,
    pub amount: Money,
    /// The Charge that a refund belongs to.
    pub charge: Option<TransactionId>,
    /// The PSP's id, where it gives one.
    pub reference: Option<String>,
    pub at: Timestamp,
    /// True if it happened and was not undone.
    pub is_done: bool,
    /// The number of times that money moved for it.
    pub moves: u8,
    /// The state in the last applied report, or the one that the ledger must assume where
    /// that has become wrong.
    pub applied_state: Option<State>,
    /// True if the PSP carried it out when asked, whatever happened later.
    pub has_acted: bool,
    /// The state in the last report about it, by any id.
    pub told: Option<State>,
    /// True if a report contained the PSP's id.
    pub is_reported_by_psp_id: bool,
    /// The version of the Payment at the first report or look-up.
    pub reported_at: u64,
    /// True if a look-up showed it.
    pub is_seen: bool,
    /// True if the last look-up showed that it failed.
    pub is_seen_to_fail: bool,
    /// True if its reports have a timestamp from before everything here.
    pub is_backdated: bool,
}

/// The kind of the effect of a call.
pub fn kind_of(call: &Call) -> TransactionKind {
    match &call.action {
        Action::Capture { .. } => TransactionKind::Charge,
        Action::Refund { .. } => TransactionKind::Refund,
        Action::Cancel | Action::Reverse => TransactionKind::CancelAuthorization,
    }
}

impl Effect {
    /// An effect that has not happened.
    pub fn new(
        kind: TransactionKind,
        amount: Money,
        at: Timestamp,
        transaction: Option<TransactionId>,
    ) -> Self {
        Self {
            transaction,
            kind,
            amount,
            charge: None,
            reference: None,
            at,
            is_done: false,
            moves: 0,
            applied_state: None,
            has_acted: false,
            told: None,
            is_reported_by_psp_id: false,
            reported_at: 0,
            is_seen: false,
            is_seen_to_fail: false,
            is_backdated: false,
        }
    }

    /// The true state.
    pub fn state(&self) -> State {
        if self.is_done { State::Success } else { State::Failure }
    }

    /// Changes the true state; earlier reports are wrong from now on.
    fn becomes(&mut self, is_done: bool) {
        self.applied_state = self.applied_state.or(Some(self.state()));
        self.is_done = is_done;
        self.moves += u8::from(is_done);
    }
}

/// The ids in a connector's reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// A different id of the PSP for each effect.
    Named,
    /// The id of the authorization for all effects.
    Shared,
    /// No id.
    Nameless,
}

impl Style {
    /// The PSP's id in reports about a transaction, if any.
    pub fn reference(self, id: &TransactionId) -> Option<String> {
        match self {
            Self::Named => Some(format!("psp-{id}")),
            Self::Shared => Some("psp-past-0".to_owned()),
            Self::Nameless => None,
        }
    }
}

/// An event at the PSP that we did not cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A capture in the PSP's dashboard, perhaps of more than is authorized.
    Capture(u64),
    /// The same, with reports that have a timestamp years ago.
    OldCapture(u64),
    /// A refund in the PSP's dashboard.
    Refund(u64),
    /// A declined capture in the PSP's dashboard.
    FailedCapture(u64),
    /// A declined refund in the PSP's dashboard.
    FailedRefund(u64),
    /// A chargeback by the payer's bank.
    Chargeback(u64),
    /// A further authorization by the payer.
    Authorize(u64),
    /// A release of the amount that is authorized and not captured.
    Release,
    /// An effect is undone.
    Undo(usize),
    /// A failed or pending transaction succeeds.
    Succeed(usize),
}

/// A transaction on the platform, and the time from which it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shown {
    effect: usize,
    kind: TransactionKind,
    state: State,
    amount: Money,
    at: Timestamp,
    visible_at: Timestamp,
    reference: Option<String>,
}

impl World {
    /// Adds the effects before registration, which need no report.
    pub fn add_past_effects(&mut self) {
        for past in self.payment.transactions.values() {
            let is_done = past.state == State::Success;
            let effect = Effect {
                transaction: Some(past.id.clone()),
                kind: past.kind,
                amount: past.amount,
                charge: None,
                reference: self.style.reference(&past.id),
                at: past.timestamp,
                is_done,
                moves: u8::from(is_done),
                applied_state: None,
                has_acted: is_done,
                told: Some(past.state),
                // It was registered with its PSP id.
                is_reported_by_psp_id: is_done && self.style != Style::Nameless,
                reported_at: 0,
                is_seen: false,
                is_seen_to_fail: false,
                is_backdated: false,
            };
            self.effects.push(effect);
        }
        for index in 0..self.effects.len() {
            if self.effects[index].is_done && self.effects[index].kind == TransactionKind::Charge {
                self.show(index, Decision::Approve);
            }
        }
    }

    /// The PSP decides a request. A key that it honours and remembers does not act again.
    pub fn act(&mut self, call: &Call, decision: Decision) -> Verdict {
        let id = &call.transaction;
        if self.tier == Tier::SameKey
            && let Some((verdict, at)) = self.answers.get(id)
            && self.now.ms_since(*at) < KEYS_KEPT_MS
        {
            return verdict.clone();
        }
        if call.action == Action::Reverse {
            self.violated(format!("{id} was sent as a reversal, for the connector to decide"));
        }
        let mut effect = Effect {
            charge: call.action.charge().cloned(),
            reference: self.style.reference(id),
            applied_state: self.reported_states.get(id).copied(),
            told: self.reported_states.get(id).copied(),
            ..Effect::new(kind_of(call), call.amount, self.now, Some(id.clone()))
        };
        let (acts, verdict) = match decision {
            Decision::Approve => (true, Verdict::Approved),
            Decision::Receive => (true, Verdict::Received(None)),
            Decision::Reject => (false, Verdict::Rejected(None)),
            Decision::ActAndReject => (true, Verdict::Rejected(None)),
            Decision::ApproveWithoutActing => (false, Verdict::Approved),
            Decision::ActAndFail | Decision::Fail => unreachable!("only a PSP saves errors"),
        };
        match decision {
            Decision::ActAndReject if self.tier.is_trusted() => {
                (effect.applied_state, effect.told) = (Some(State::Failure), Some(State::Failure));
            }
            Decision::ApproveWithoutActing => {
                (effect.applied_state, effect.told) = (Some(State::Success), Some(State::Success));
            }
            Decision::Approve
            | Decision::Receive
            | Decision::Reject
            | Decision::ActAndReject
            | Decision::ActAndFail
            | Decision::Fail => {}
        }
        // The PSP does all that it is asked. Without effects that we did not send, the
        // ledger never asks for more than is available.
        let is_misled = self.is_surprised || self.is_doubted || !self.mistaken.is_empty();
        if acts && !is_misled && !self.has_room(&effect, true) {
            self.violated(format!("{id} moved more than the PSP has"));
        }
        (effect.is_done, effect.moves, effect.has_acted) = (acts, u8::from(acts), acts);
        self.effects.push(effect);
        if acts {
            self.check_move(id);
        }
        self.show(self.effects.len() - 1, decision);
        self.answers.insert(id.clone(), (verdict.clone(), self.now));
        verdict
    }

    /// Moves money. This must happen at most once for a transaction, and only for one that
    /// is durably reserved and not settled as Failure.
    pub fn check_move(&mut self, id: &TransactionId) {
        if id.as_str().starts_with("past-") {
            self.violated(format!("{id} was begun elsewhere, and sent by us"));
        }
        match self.payment.transactions.get(id) {
            None => self.violated(format!("{id} moved money without a reservation")),
            Some(found) if found.state == State::Failure => {
                // An untrue or ambiguous report is no mistake of the service.
                let is_misled = self.is_contradicted
                    || self.is_doubted
                    || self.is_mistaken(found.kind, found.amount);
                if found.reported.is_none() || !is_misled {
                    self.violated(format!("{id} moved money after its Failure"));
                }
            }
            Some(_) => {}
        }
        if self.moves_of(id) > 1 {
            self.violated(format!("{id} moved money twice"));
        }
    }

    /// The number of times that money moved for a transaction.
    pub fn moves_of(&self, id: &TransactionId) -> usize {
        self.of(id).map(|effect| usize::from(effect.moves)).sum()
    }

    pub fn of(&self, id: &TransactionId) -> impl Iterator<Item = &Effect> {
        self.effects.iter().filter(move |effect| effect.transaction.as_ref() == Some(id))
    }

    /// The sum of the successful effects of this kind.
    pub fn done(&self, kind: TransactionKind) -> u64 {
        let done = self.effects.iter().filter(|effect| effect.kind == kind && effect.is_done);
        done.map(|effect| effect.amount.minor_units()).sum()
    }

    /// True if the PSP, which never gives more than it has, can do or undo this. Our cancel
    /// voids an authorization without captures.
    fn has_room(&self, effect: &Effect, does: bool) -> bool {
        let (kind, amount) = (effect.kind, effect.amount.minor_units());
        let sum = |of: TransactionKind| {
            let before = self.done(of);
            match (of == kind, does) {
                (true, true) => before + amount,
                (true, false) => before - amount,
                (false, _) => before,
            }
        };
        let captured = sum(TransactionKind::Charge);
        let cancelled = sum(TransactionKind::CancelAuthorization);
        let refunded = sum(TransactionKind::Refund) + sum(TransactionKind::Chargeback);
        let voids = kind == TransactionKind::CancelAuthorization && effect.transaction.is_some();
        let of_charge = |charge: &TransactionId| {
            let refunds = self.effects.iter().filter(|refund| refund.is_done);
            let refunds = refunds.filter(|refund| refund.charge.as_ref() == Some(charge));
            refunds.map(|refund| refund.amount.minor_units()).sum::<u64>()
        };
        let named = effect.charge.as_ref().filter(|_| does);
        let is_left = |charge: &TransactionId| {
            let charged = self.of(charge).filter(|charge| charge.is_done);
            let charged: u64 = charged.map(|charge| charge.amount.minor_units()).sum();
            charged >= of_charge(charge) + amount
        };
        let is_refunded = !does && effect.transaction.as_ref().is_some_and(|id| of_charge(id) > 0);
        let is_covered =
            self.is_sale() || captured + cancelled <= sum(TransactionKind::Authorization);
        is_covered
            && refunded <= captured
            && !(does && voids && captured > 0)
            && named.is_none_or(is_left)
            && !is_refunded
    }

    /// True if it was captured without an authorization.
    fn is_sale(&self) -> bool {
        !self.effects.iter().any(|effect| effect.kind == TransactionKind::Authorization)
    }

    /// The amount that is authorized and neither captured nor released.
    fn free(&self) -> u64 {
        (self.done(TransactionKind::Authorization))
            .saturating_sub(self.done(TransactionKind::Charge))
            .saturating_sub(self.done(TransactionKind::CancelAuthorization))
    }

    /// The events that can happen at the PSP now without us.
    pub fn possible_events(&self) -> Vec<Event> {
        if self.tier == Tier::Direct {
            return self.possible_events_direct();
        }
        let mut events = Vec::new();
        let free = self.free();
        events.extend([40, 60].into_iter().filter(|most| *most <= free).map(Event::Capture));
        events.extend([40, 60].into_iter().filter(|most| *most <= free).map(Event::OldCapture));
        events.push(Event::Capture(120));
        events.extend([40, 60, 100].map(Event::FailedCapture));
        events.extend([40, 60, 100].map(Event::FailedRefund));
        let left = self
            .done(TransactionKind::Charge)
            .saturating_sub(self.done(TransactionKind::Refund))
            .saturating_sub(self.done(TransactionKind::Chargeback));
        events.extend([60].into_iter().filter(|most| *most <= left).map(Event::Chargeback));
        events.extend([40, 60].into_iter().filter(|most| *most <= left).map(Event::Refund));
        // A refund that is reported later belongs to what was captured at once.
        events.push(Event::Authorize(if self.is_sale() { 100 } else { 50 }));
        if free > 0 {
            events.push(Event::Release);
        }
        for (index, effect) in self.effects.iter().enumerate() {
            if effect.transaction.as_ref().is_some_and(|id| self.is_being_settled(id)) {
                continue;
            }
            if effect.is_done && self.has_room(effect, false) {
                events.push(Event::Undo(index));
            }
            if !effect.is_done && effect.moves == 0 && self.has_room(effect, true) {
                events.push(Event::Succeed(index));
            }
        }
        events
    }

    /// The same at a PSP that is called directly.
    fn possible_events_direct(&self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.is_capturable() {
            events.extend([Event::Capture(40), Event::Capture(60), Event::Release]);
        }
        let left = self.left_to_refund();
        let amounts = || [40, 60].into_iter().filter(|amount| *amount <= left);
        events.extend(amounts().map(Event::Refund));
        events.extend(amounts().map(Event::FailedRefund));
        events.extend(amounts().map(Event::Chargeback));
        for (index, effect) in self.effects.iter().enumerate() {
            let is_settling =
                effect.transaction.as_ref().is_some_and(|id| self.is_being_settled(id));
            let is_refund =
                matches!(effect.kind, TransactionKind::Refund | TransactionKind::Chargeback);
            if effect.is_done && is_refund && !is_settling {
                events.push(Event::Undo(index));
            }
            let is_authorization = effect.kind == TransactionKind::Authorization;
            if is_authorization && !effect.is_done && effect.moves == 0 {
                events.push(Event::Succeed(index));
            }
        }
        events
    }

    /// True if a caller still waits for the first answer about it.
    fn is_being_settled(&self, id: &TransactionId) -> bool {
        let is_ours = !id.as_str().starts_with("past-");
        let is_open = self.payment.transactions.get(id).is_none_or(|found| found.state.is_open());
        is_ours && (is_open || self.processes.iter().any(|process| process.may_settle(id)))
    }

    pub fn happen(&mut self, event: Event) {
        self.is_surprised = true;
        let free = self.free();
        let (kind, amount) = match event {
            Event::Capture(amount) | Event::OldCapture(amount) | Event::FailedCapture(amount) => {
                (TransactionKind::Charge, amount)
            }
            Event::Refund(amount) | Event::FailedRefund(amount) => {
                (TransactionKind::Refund, amount)
            }
            Event::Chargeback(amount) => (TransactionKind::Chargeback, amount),
            Event::Authorize(amount) => (TransactionKind::Authorization, amount),
            Event::Release => (TransactionKind::CancelAuthorization, free),
            Event::Undo(index) | Event::Succeed(index) => {
                self.effects[index].becomes(matches!(event, Event::Succeed(_)));
                let state = self.effects[index].state();
                self.may_be_mistaken(self.effects[index].kind, self.effects[index].amount);
                let shown = self.shown.iter_mut().filter(|shown| shown.effect == index);
                shown.for_each(|shown| shown.state = state);
                return;
            }
        };
        let is_done = !matches!(event, Event::FailedCapture(_) | Event::FailedRefund(_));
        let name = format!("psp-event-{}", self.effects.len());
        let effect = Effect {
            reference: Some(name).filter(|_| self.style != Style::Nameless),
            is_done,
            moves: u8::from(is_done),
            has_acted: is_done,
            is_backdated: matches!(event, Event::OldCapture(_)),
            ..Effect::new(kind, eur(amount), self.now, None)
        };
        self.may_be_mistaken(kind, effect.amount);
        self.effects.push(effect);
        if self.tier == Tier::Direct {
            self.release_rest(kind);
        }
        self.show(self.effects.len() - 1, Decision::Approve);
    }

    /// Records that an untrue report was made.
    pub fn contradicted(&mut self, kind: TransactionKind, amount: Money) {
        (self.is_contradicted, self.is_surprised) = (true, true);
        self.may_be_mistaken(kind, amount);
    }

    /// Records that a shown transaction has no id, and may be matched to another one.
    fn may_be_mistaken(&mut self, kind: TransactionKind, amount: Money) {
        if self.tier.policy().lookup == Lookup::Payment || self.style != Style::Named {
            self.mistaken.insert(group(kind, amount));
        }
    }

    fn show(&mut self, index: usize, decision: Decision) {
        let effect = &self.effects[index];
        let (state, visible_at) = match (self.tier, effect.is_done, decision) {
            (Tier::Queryable, false, _) => (State::Failure, self.now),
            (Tier::Queryable, true, Decision::Receive) => (State::Pending, self.now),
            (Tier::Queryable, true, _) => (State::Success, self.now),
            // It shows its first decision, and corrects it much later.
            (Tier::LateRecorder, true, Decision::ActAndReject) => (State::Failure, self.now),
            (Tier::LateRecorder, true, _) => (State::Success, self.now.plus_ms(1_200_000)),
            (Tier::LateRecorder, false, _) => (State::Failure, self.now),
            (Tier::SameKey | Tier::Direct | Tier::Opaque | Tier::Untrusted, _, _) => return,
        };
        let Effect { kind, amount, at, .. } = *effect;
        let reference = effect.reference.clone();
        self.shown.push(Shown { effect: index, kind, state, amount, at, visible_at, reference });
    }

    pub fn platform_transactions(&mut self) -> Vec<Report> {
        if self.tier == Tier::Direct {
            return self.shown_to_look_up();
        }
        let version = self.payment.version;
        for shown in self.shown.iter().filter(|shown| shown.visible_at <= self.now) {
            let effect = &mut self.effects[shown.effect];
            effect.is_seen |= shown.state == State::Success;
            effect.is_seen_to_fail = shown.state == State::Failure;
            effect.reported_at = if effect.reported_at == 0 { version } else { effect.reported_at };
        }
        let visible = self.shown.iter().filter(|shown| shown.visible_at <= self.now);
        visible
            .map(|shown| Report {
                kind: shown.kind,
                state: shown.state,
                amount: shown.amount,
                timestamp: Some(shown.at),
                interaction_id: shown.reference.clone(),
                interface_id: None,
            })
            .collect()
    }
}
