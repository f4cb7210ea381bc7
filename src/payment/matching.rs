//! Which transaction a report is about. Identity goes before likeness: a report
//! with an id is about the transaction with that id. Likeness (the same type and
//! amount) counts only where there is no id, and forms groups: of the transactions
//! that are alike, as many happened as distinct effects were reported.

#![warn(clippy::wildcard_enum_match_arm)]

use super::{
    Likeness, Payment, Report, State, Timestamp, Transaction, TransactionId, TransactionKind,
};

/// By how much two clocks may differ, or a message be older than its effect.
const CLOCKS_DIFFER_MS: u64 = 30_000;

/// The transaction that a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The transaction that it identifies.
    ById(TransactionId),
    /// A transaction of its type and amount. An answer, an id or a look-up may say
    /// otherwise later.
    ByLikeness(TransactionId),
    /// The transaction whose own id it has, though it tells of another amount.
    Other(TransactionId),
    /// An effect of its own.
    New,
}

impl Payment {
    /// Finds the transaction that `report` is about. `except` is none of it.
    pub(super) fn match_report(&self, report: &Report, except: Option<&TransactionId>) -> Match {
        self.match_with(report, except, |_| true)
    }

    /// Finds the transaction that an effect is, of which a PSP tells that names captures
    /// and refunds of ours by our id. Those are never meant by likeness. A cancel has no
    /// name, but there is only one of it.
    pub(super) fn match_effect(&self, report: &Report) -> Match {
        self.match_with(report, None, |ours| match ours.kind {
            TransactionKind::Charge | TransactionKind::Refund => ours.is_external,
            TransactionKind::CancelAuthorization
            | TransactionKind::Authorization
            | TransactionKind::Chargeback => true,
        })
    }

    /// The same for a PSP that names cancels of ours, too.
    pub(super) fn match_named_effect(&self, report: &Report) -> Match {
        self.match_with(report, None, |ours| {
            ours.is_external || ours.kind == TransactionKind::Chargeback
        })
    }

    /// As [`Self::match_report`], where likeness counts only for what `may_be_alike`.
    fn match_with(
        &self,
        report: &Report,
        except: Option<&TransactionId>,
        may_be_alike: impl Fn(&Transaction) -> bool,
    ) -> Match {
        let others = || self.transactions.values().filter(|ours| Some(&ours.id) != except);
        // Our own id goes before what others call it.
        let own = others().find(|ours| ours.is_named_by_own_id(report));
        if let Some(own) = own {
            let is_it = self.is_alike(own, report);
            return if is_it { Match::ById(own.id.clone()) } else { Match::Other(own.id.clone()) };
        }
        if let Some(identified) = others().find(|ours| self.is_identified_by(ours, report)) {
            return Match::ById(identified.id.clone());
        }
        let ids = self.identifying_ids(report);
        let alike = others().filter(|ours| self.is_alike(ours, report) && may_be_alike(ours));
        let alike = alike.filter(|ours| self.could_have_begun(ours, report.timestamp));
        let alike: Vec<_> = alike.filter(|ours| Self::may_be_named(ours, ids, report)).collect();
        let found = match report.state {
            State::Failure => self.failed_one_of(&alike, ids),
            State::Initial | State::Pending | State::Success | State::Unknown => {
                self.happened_one_of(&alike, report)
            }
        };
        found.map_or(Match::New, |ours| Match::ByLikeness(ours.id.clone()))
    }

    /// Of the transactions that are alike, the one to count as happened: first one
    /// that has come that far already, then the one at its connector, then an open
    /// one.
    fn happened_one_of<'a>(
        &self,
        alike: &[&'a Transaction],
        report: &Report,
    ) -> Option<&'a Transaction> {
        let rank = |ours: &&Transaction| {
            let is_failed_by_id = ours.waiting_failure.is_some() && !ours.has_failure_by_likeness();
            let has_come_that_far = ours.has_come_to(report.state) && !is_failed_by_id;
            let can_come = ours.can_still_happen();
            match (has_come_that_far, self.is_in_flight(&ours.id)) {
                (true, _) => Some(0),
                (false, true) if can_come => Some(1),
                (false, false) if can_come => Some(2),
                (false, _) => None,
            }
        };
        // With a time, the latest that began before it; without one, the oldest.
        let age = |ours: &Transaction| match report.timestamp {
            Some(_) => u64::MAX.saturating_sub(ours.timestamp.ms()),
            None => ours.timestamp.ms(),
        };
        let ranked = alike.iter().filter_map(|ours| Some((rank(ours)?, *ours)));
        let first = ranked.min_by_key(|(rank, ours)| {
            let is_named_so = ours.interaction_id == report.interaction_id;
            (*rank, !is_named_so, ours.interaction_id.is_some(), age(ours))
        });
        first.map(|(_, ours)| ours)
    }

    /// Of the transactions that are alike, the one to count as failed: one that
    /// has failed already, or the only one that could have. A Failure gives money
    /// back, so among several it names none.
    fn failed_one_of<'a>(
        &self,
        alike: &[&'a Transaction],
        ids: ReportIds<'_>,
    ) -> Option<&'a Transaction> {
        let has_failed = |ours: &&&Transaction| {
            let is_reported = ours.waiting_failure.is_some() || ours.is_disputed;
            ours.last_reported_state() == State::Failure || is_reported
        };
        if let Some(failed) = alike.iter().find(has_failed) {
            return Some(failed);
        }
        let could_fail = |ours: &&&Transaction| ours.can_fail_by_likeness(ids.is_empty());
        let mut candidates = alike.iter().filter(could_fail);
        candidates.next().filter(|_| candidates.next().is_none()).copied()
    }

    /// The transaction of ours that really happened, where the report says so by the
    /// id of a Failure that likeness had taken for it.
    pub(super) fn refuted_failure(
        &self,
        failed: &TransactionId,
        report: &Report,
    ) -> Option<TransactionId> {
        let failed = self.transactions.get(failed)?;
        let ours = self.transactions.get(failed.may_be.as_ref()?)?;
        let is_refuted =
            failed.last_reported_state() == State::Failure && report.state == State::Success;
        let has_other_id = |theirs: &Option<String>, ours: &Option<String>| {
            ours.is_some() && theirs.is_some() && theirs != ours
        };
        let is_other = has_other_id(&failed.interface_id, &ours.interface_id)
            || has_other_id(&report.interface_id, &ours.interface_id);
        let found = self.match_report(report, Some(&failed.id));
        let is_ours = found == Match::ByLikeness(ours.id.clone());
        (is_refuted && !is_other && is_ours).then(|| ours.id.clone())
    }

    /// The transaction of ours that an effect without an identifying id would be, had
    /// its connector not answered that it was rejected.
    pub(super) fn rejected_alike(&self, report: &Report) -> Option<TransactionId> {
        let has_happened = matches!(report.state, State::Success | State::Pending);
        if !has_happened || !self.identifying_ids(report).is_empty() {
            return None;
        }
        let is_rejected = |ours: &&Transaction| {
            let is_answered = ours.reported.is_none() && ours.likeness.is_none();
            ours.state == State::Failure && is_answered && !ours.is_external
        };
        let mut rejected = self.transactions.values().filter(is_rejected);
        let found = rejected.find(|ours| {
            self.is_alike(ours, report) && self.could_have_begun(ours, report.timestamp)
        });
        found.map(|ours| ours.id.clone())
    }

    /// True if `failed` is still the only one that a Failure which was reported at
    /// `at` by likeness alone can be about.
    pub(super) fn is_only_candidate(&self, failed: &Transaction, at: Timestamp) -> bool {
        self.transactions.values().filter(|ours| ours.id != failed.id).all(|ours| {
            let is_alike = ours.kind == failed.kind && ours.amount == failed.amount;
            let began_later = ours.timestamp > at.plus_ms(CLOCKS_DIFFER_MS);
            let is_other = !is_alike || began_later || self.is_named(ours);
            is_other || !ours.can_fail_by_likeness(false) || ours.waiting_failure.is_some()
        })
    }

    /// True if an id of the report is this transaction's alone.
    pub(super) fn is_identified_by(&self, ours: &Transaction, report: &Report) -> bool {
        if !self.is_alike(ours, report) {
            return false;
        }
        if ours.is_named_by_own_id(report) {
            return true;
        }
        let ids = self.identifying_ids(report);
        let is_same = |theirs: Option<&str>, ours: &Option<String>| {
            theirs.is_some_and(|theirs| ours.as_deref() == Some(theirs))
        };
        if ids.interaction.is_some() && self.is_named(ours) {
            return is_same(ids.interaction, &ours.interaction_id);
        }
        is_same(ids.interaction, &ours.interaction_id) || is_same(ids.interface, &ours.interface_id)
    }

    /// Connectors report a cancel of ours with the planned amount, whatever is
    /// authorized.
    fn is_alike(&self, ours: &Transaction, report: &Report) -> bool {
        let is_whole = report.kind == TransactionKind::CancelAuthorization
            && self.details.amount_planned == Some(report.amount)
            && !ours.is_external;
        ours.kind == report.kind && (ours.amount == report.amount || is_whole)
    }

    /// The ids of the report that identify something. An id that several share
    /// identifies nothing: some connectors report all that they do by the
    /// authorization's.
    pub(super) fn identifying_ids<'a>(&self, report: &'a Report) -> ReportIds<'a> {
        let is_shared = |id: &&str, of: fn(&Transaction) -> &Option<String>| {
            let has_it = |ours: &&Transaction| of(ours).as_deref() == Some(*id);
            let holders: Vec<_> = self.transactions.values().filter(has_it).collect();
            let is_of_other = holders.iter().any(|ours| !self.is_alike(ours, report));
            let is_of_payment = self.details.interface_id.as_deref() == Some(*id);
            is_of_payment || is_of_other || holders.len() > 1
        };
        let interaction = report.interaction_id.as_deref();
        let interface = report.interface_id.as_deref();
        ReportIds {
            interaction: interaction.filter(|id| !is_shared(id, |ours| &ours.interaction_id)),
            interface: interface.filter(|id| !is_shared(id, |ours| &ours.interface_id)),
        }
    }

    /// True if no other transaction has the same PSP id.
    pub(super) fn is_named(&self, ours: &Transaction) -> bool {
        let Some(id) = &ours.interaction_id else { return false };
        let is_same = |other: &&Transaction| other.interaction_id.as_ref() == Some(id);
        self.details.interface_id.as_ref() != Some(id)
            && self.transactions.values().filter(is_same).count() == 1
    }

    /// True if the report's effect can be this transaction by its ids. One that
    /// the PSP calls something else is another; unless that name is of a report that
    /// was taken for it by likeness alone, which gives way to what fits better.
    fn may_be_named(ours: &Transaction, ids: ReportIds<'_>, report: &Report) -> bool {
        let theirs = ids.interaction.filter(|_| ours.interaction_id.is_some());
        if theirs.is_none() || theirs == ours.interaction_id.as_deref() {
            return true;
        }
        let gave_name = ours.likeness.as_ref().is_some_and(|one| one.gave_interaction_id);
        gave_name && ours.gives_way_to(report.state, theirs)
    }

    /// True if something that happened at `at` can be this transaction's: it had
    /// begun then, by whatever clock. What others began, they began before they said
    /// so.
    pub(super) fn could_have_begun(&self, ours: &Transaction, at: Option<Timestamp>) -> bool {
        ours.is_external
            || ours.timestamp <= self.created_at
            || at.is_none_or(|at| at.plus_ms(CLOCKS_DIFFER_MS) >= ours.timestamp)
    }
}

/// The ids by which a report identifies something.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReportIds<'a> {
    pub(super) interaction: Option<&'a str>,
    interface: Option<&'a str>,
}

impl ReportIds<'_> {
    fn is_empty(self) -> bool {
        self.interaction.is_none() && self.interface.is_none()
    }
}

impl Transaction {
    /// True if the report has our own id of it, and its type.
    pub(super) fn is_named_by_own_id(&self, report: &Report) -> bool {
        let own = Some(self.id.as_str());
        self.kind == report.kind
            && (report.interaction_id.as_deref() == own || report.interface_id.as_deref() == own)
    }

    /// True if a report of this state is no news.
    pub(super) fn has_come_to(&self, reported: State) -> bool {
        let state = self.last_reported_state();
        match reported {
            State::Success => state == State::Success,
            State::Pending => matches!(state, State::Pending | State::Success),
            State::Initial | State::Unknown => state.is_open() || state == State::Success,
            State::Failure => state == State::Failure,
        }
    }

    /// True if a report without its id may say that it happened: its outcome is
    /// open, or it failed by likeness alone. Not against an answer or an id.
    fn can_still_happen(&self) -> bool {
        let is_failed_by_id = self.waiting_failure.is_some() && !self.has_failure_by_likeness();
        let is_disputed_by_likeness = self.is_disputed && self.likeness.is_some();
        let is_awaited = self.state_awaiting_balances.is_some_and(State::is_open);
        self.known_state().is_open() && !self.is_discrepant() && !is_failed_by_id
            || is_awaited
            || is_disputed_by_likeness
            || self.kind == TransactionKind::Authorization && self.state != State::Success
    }

    /// True if a Failure without its id may be about it.
    fn can_fail_by_likeness(&self, is_nameless: bool) -> bool {
        let is_free = self.interaction_id.is_none() || is_nameless;
        let is_doubtful = self.state == State::Success && is_free;
        let is_awaited = self.state_awaiting_balances.is_some_and(State::is_open);
        is_awaited || (self.state.is_open() || is_doubtful) && !self.is_discrepant()
    }

    /// True if the report that was taken for it by likeness alone gives way to one of
    /// this state and, where it has one, identifying name, which fits better: that one
    /// said it had failed, or, of one that happened, that another name had only begun.
    pub(super) fn gives_way_to(&self, reported: State, name: Option<&str>) -> bool {
        let Some(likeness) = &self.likeness else { return false };
        if self.has_failure_by_likeness() {
            return reported != State::Failure;
        }
        let has_only_begun = likeness.known == State::Success && likeness.told == State::Pending;
        let is_other_name = likeness.gave_interaction_id
            && name.is_some_and(|name| self.interaction_id.as_deref() != Some(name));
        reported == State::Success && has_only_begun && is_other_name
    }

    /// True if a report of a Failure was taken for it by likeness alone.
    pub(super) fn has_failure_by_likeness(&self) -> bool {
        let is_failure = |likeness: &Likeness| {
            likeness.told == State::Failure && likeness.known != State::Failure
        };
        self.likeness.as_ref().is_some_and(is_failure)
    }
}
