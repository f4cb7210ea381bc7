//! Matching a report to a transaction. An id goes before likeness: a report with an id is
//! about the transaction with that id. Likeness (the same type and amount) decides only
//! where no id does. Of the transactions that are alike, as many happened as distinct
//! effects were reported.

#![warn(clippy::wildcard_enum_match_arm)]

use super::identity::ReportIds;
use super::{
    Likeness, Payment, Report, State, Timestamp, Transaction, TransactionId, TransactionKind,
};

/// The tolerated difference of two clocks, and of the times of an effect and its message.
const CLOCKS_DIFFER_MS: u64 = 30_000;

/// The transaction that a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The transaction that its id names.
    ById(TransactionId),
    /// A transaction of the same type and amount. An answer, an id or a look-up may
    /// contradict that later.
    ByLikeness(TransactionId),
    /// The transaction that our own id names, but with another amount.
    OtherAmount(TransactionId),
    /// None: it is a separate effect.
    New,
}

impl Payment {
    /// The transaction that `report` is about, other than `except`.
    pub(super) fn match_report(&self, report: &Report, except: Option<&TransactionId>) -> Match {
        self.match_with(report, except, |_| true)
    }

    /// The transaction that an effect is about, as a PSP reports it that knows our captures
    /// and refunds by our id: likeness matches none of those. A cancel has no id, but there
    /// is only one of it.
    pub(super) fn match_effect(&self, report: &Report) -> Match {
        self.match_with(report, None, |transaction| match transaction.kind {
            TransactionKind::Charge | TransactionKind::Refund => transaction.is_external,
            TransactionKind::CancelAuthorization
            | TransactionKind::Authorization
            | TransactionKind::Chargeback => true,
        })
    }

    /// As [`Self::match_effect`], for a PSP that knows our cancels by our id, too.
    pub(super) fn match_named_effect(&self, report: &Report) -> Match {
        self.match_with(report, None, |transaction| {
            transaction.is_external || transaction.kind == TransactionKind::Chargeback
        })
    }

    /// As [`Self::match_report`], where likeness can match only what `can_be_alike` allows.
    fn match_with(
        &self,
        report: &Report,
        except: Option<&TransactionId>,
        can_be_alike: impl Fn(&Transaction) -> bool,
    ) -> Match {
        let others =
            || self.transactions.values().filter(|transaction| Some(&transaction.id) != except);
        // Our own id goes before the ids of the PSP and the connector.
        let own = others().find(|transaction| transaction.is_named_by_own_id(report));
        if let Some(own) = own {
            let is_alike = self.is_alike(own, report);
            return if is_alike {
                Match::ById(own.id.clone())
            } else {
                Match::OtherAmount(own.id.clone())
            };
        }
        if let Some(identified) =
            others().find(|transaction| self.is_identified_by(transaction, report))
        {
            return Match::ById(identified.id.clone());
        }
        let ids = self.identifying_ids(report);
        let alike = others().filter(|transaction| self.is_alike(transaction, report));
        let alike = alike.filter(|transaction| can_be_alike(transaction));
        let alike = alike.filter(|transaction| !self.is_other_cancel(transaction, report));
        let alike =
            alike.filter(|transaction| self.could_have_begun(transaction, report.timestamp));
        let alike: Vec<_> =
            alike.filter(|transaction| self.can_have_ids(transaction, ids, report)).collect();
        let found = match report.state {
            State::Failure => self.candidate_for_failure(&alike, ids),
            State::Initial | State::Pending | State::Success | State::Unknown => {
                self.candidate_for_effect(&alike, report)
            }
        };
        found.map_or(Match::New, |transaction| Match::ByLikeness(transaction.id.clone()))
    }

    /// The transaction of those that are alike that a report of a Success or Pending is
    /// about: first one that has reached that state, then the one in flight, then an open
    /// one, then an authorization that was declined.
    fn candidate_for_effect<'a>(
        &self,
        alike: &[&'a Transaction],
        report: &Report,
    ) -> Option<&'a Transaction> {
        let rank = |transaction: &&Transaction| {
            let is_failed_by_id =
                transaction.waiting_failure.is_some() && !transaction.has_failure_by_likeness();
            let has_reached_state = transaction.has_reached(report.state) && !is_failed_by_id;
            let can_happen = transaction.can_still_happen();
            let is_declined = transaction.kind == TransactionKind::Authorization
                && transaction.state == State::Failure;
            match (has_reached_state, self.is_in_flight(&transaction.id)) {
                (true, _) => Some(0),
                (false, true) if can_happen => Some(1),
                (false, false) if can_happen && !is_declined => Some(2),
                (false, false) if can_happen => Some(3),
                (false, _) => None,
            }
        };
        // With a timestamp, the latest that began before it. Without one, the oldest.
        let age = |transaction: &Transaction| match report.timestamp {
            Some(_) => u64::MAX.saturating_sub(transaction.timestamp.ms()),
            None => transaction.timestamp.ms(),
        };
        let ranked =
            alike.iter().filter_map(|transaction| Some((rank(transaction)?, *transaction)));
        let first = ranked.min_by_key(|(rank, transaction)| {
            let has_same_id = transaction.interaction_id == report.interaction_id;
            let has_id = transaction.interaction_id.is_some();
            // Of those that have reached it, one that is known to.
            let is_guess = *rank == 0 && transaction.likeness.is_some();
            (*rank, !has_same_id, has_id, is_guess, age(transaction))
        });
        first.map(|(_, transaction)| transaction)
    }

    /// The transaction of those that are alike that a report of a Failure is about: one
    /// that has failed already, or the only one that could have failed. If several could,
    /// it is about none, because a Failure releases a hold.
    fn candidate_for_failure<'a>(
        &self,
        alike: &[&'a Transaction],
        ids: ReportIds<'_>,
    ) -> Option<&'a Transaction> {
        let has_failed = |transaction: &&&Transaction| {
            let is_reported = transaction.waiting_failure.is_some() || transaction.is_disputed;
            transaction.last_reported_state() == State::Failure || is_reported
        };
        if let Some(failed) = alike.iter().find(has_failed) {
            return Some(failed);
        }
        let could_fail =
            |transaction: &&&Transaction| transaction.can_fail_by_likeness(ids.is_empty());
        let mut candidates = alike.iter().filter(could_fail);
        candidates.next().filter(|_| candidates.next().is_none()).copied()
    }

    /// The transaction that happened, if the report has the id of a Failure that likeness
    /// had matched to that transaction, and says Success.
    pub(super) fn refuted_failure(
        &self,
        failed: &TransactionId,
        report: &Report,
    ) -> Option<TransactionId> {
        let failed = self.transactions.get(failed)?;
        let transaction = self.transactions.get(failed.possible_duplicate_of.as_ref()?)?;
        let is_refuted =
            failed.last_reported_state() == State::Failure && report.state == State::Success;
        let has_other_id = |reported: &Option<String>, known: &Option<String>| {
            known.is_some() && reported.is_some() && reported != known
        };
        let is_other = has_other_id(&failed.interface_id, &transaction.interface_id)
            || has_other_id(&report.interface_id, &transaction.interface_id);
        let found = self.match_report(report, Some(&failed.id));
        let is_ours = found == Match::ByLikeness(transaction.id.clone());
        (is_refuted && !is_other && is_ours).then(|| transaction.id.clone())
    }

    /// The transaction that a report without an identifying id would match, if its
    /// connector had not rejected it.
    pub(super) fn rejected_candidate(&self, report: &Report) -> Option<TransactionId> {
        let has_happened = matches!(report.state, State::Success | State::Pending);
        if !has_happened || !self.identifying_ids(report).is_empty() {
            return None;
        }
        let is_rejected = |transaction: &&Transaction| {
            let is_answered = transaction.reported.is_none() && transaction.likeness.is_none();
            transaction.state == State::Failure && is_answered && !transaction.is_external
        };
        let mut rejected = self.transactions.values().filter(is_rejected);
        let found = rejected.find(|transaction| {
            self.is_alike(transaction, report)
                && self.could_have_begun(transaction, report.timestamp)
        });
        found.map(|transaction| transaction.id.clone())
    }

    /// True if a Failure that was reported at `at` by likeness alone can be about no other
    /// transaction than `failed`.
    pub(super) fn is_only_candidate(&self, failed: &Transaction, at: Timestamp) -> bool {
        self.transactions.values().filter(|transaction| transaction.id != failed.id).all(
            |transaction| {
                let began_later = transaction.timestamp > at.plus_ms(CLOCKS_DIFFER_MS);
                let is_other = !transaction.is_like(failed)
                    || began_later
                    || self.has_unique_interaction_id(transaction);
                is_other
                    || !transaction.can_fail_by_likeness(false)
                    || transaction.waiting_failure.is_some()
            },
        )
    }

    /// True if type and amount are the same. Connectors report a cancel with the planned
    /// amount, also where the authorized amount differs.
    pub(super) fn is_alike(&self, transaction: &Transaction, report: &Report) -> bool {
        let is_planned_cancel = report.kind == TransactionKind::CancelAuthorization
            && self.details.amount_planned == Some(report.amount)
            && !transaction.is_external;
        transaction.kind == report.kind
            && (transaction.amount == report.amount || is_planned_cancel)
    }

    /// True if the report is about the cancel of another authorization: its amount is
    /// another, and is still capturable.
    fn is_other_cancel(&self, transaction: &Transaction, report: &Report) -> bool {
        transaction.amount != report.amount
            && report.state != State::Failure
            && self.balances.capturable.take(report.amount).is_ok()
    }

    /// True if this transaction had begun at `at`, within the tolerated difference of
    /// clocks. Always true for one that began elsewhere.
    pub(super) fn could_have_begun(
        &self,
        transaction: &Transaction,
        at: Option<Timestamp>,
    ) -> bool {
        transaction.is_external
            || at.is_none_or(|at| at.plus_ms(CLOCKS_DIFFER_MS) >= transaction.timestamp)
    }
}

impl Transaction {
    /// True if a report of this state says nothing new.
    pub(super) fn has_reached(&self, reported: State) -> bool {
        let state = self.last_reported_state();
        match reported {
            State::Success => state == State::Success,
            State::Pending => matches!(state, State::Pending | State::Success),
            State::Initial | State::Unknown => state.is_open() || state == State::Success,
            State::Failure => state == State::Failure,
        }
    }

    /// True if a report without its id may say that it happened: it is open, or its Failure
    /// was matched by likeness alone. False if an answer or an id says that it failed.
    fn can_still_happen(&self) -> bool {
        let is_failed_by_id = self.waiting_failure.is_some() && !self.has_failure_by_likeness();
        let is_disputed_by_likeness = self.is_disputed && self.likeness.is_some();
        let is_awaited = self.state_awaiting_balances.is_some_and(State::is_open);
        self.known_state().is_open() && !self.is_discrepant() && !is_failed_by_id
            || is_awaited
            || is_disputed_by_likeness
            || self.kind == TransactionKind::Authorization && self.state != State::Success
    }

    /// True if a reported Failure without its id may be about it.
    fn can_fail_by_likeness(&self, has_no_ids: bool) -> bool {
        let is_free = self.interaction_id.is_none() || has_no_ids;
        let is_doubtful = self.state == State::Success && is_free;
        let is_awaited = self.state_awaiting_balances.is_some_and(State::is_open);
        is_awaited || (self.state.is_open() || is_doubtful) && !self.is_discrepant()
    }

    /// True if the report that likeness matched to it gives way to another one with this
    /// state and identifying id. It does so if it reported a Failure and the other does
    /// not. It also does so if the transaction was approved, it reported a Pending of
    /// another id, and the other reports a Success.
    pub(super) fn gives_way_to(&self, reported: State, name: Option<&str>) -> bool {
        let Some(likeness) = &self.likeness else { return false };
        if self.has_failure_by_likeness() {
            return reported != State::Failure;
        }
        let has_only_begun =
            likeness.known == State::Success && likeness.reported_state == State::Pending;
        let is_other_name = likeness.gave_interaction_id
            && name.is_some_and(|name| self.interaction_id.as_deref() != Some(name));
        reported == State::Success && has_only_begun && is_other_name
    }

    /// True if likeness matched a report of a Failure to it.
    pub(super) fn has_failure_by_likeness(&self) -> bool {
        let is_failure = |likeness: &Likeness| {
            likeness.reported_state == State::Failure && likeness.known != State::Failure
        };
        self.likeness.as_ref().is_some_and(is_failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::{Currency, Money};
    use crate::payment::{Details, PaymentId, PaymentKey, ProjectKey, Registration};
    use State::{Failure, Initial, Pending, Success, Unknown};

    /// A Charge that was registered in this state.
    fn charge(state: State) -> Transaction {
        let amount = Money::new(40, Currency::parse("EUR").unwrap()).unwrap();
        let id = TransactionId::parse("c").unwrap();
        let report = Report {
            kind: TransactionKind::Charge,
            state,
            amount,
            timestamp: None,
            interaction_id: None,
            interface_id: None,
        };
        let registration = Registration {
            key: PaymentKey {
                project: ProjectKey::parse("demo").unwrap(),
                id: PaymentId::parse("p").unwrap(),
            },
            amount_planned: amount,
            fraction_digits: 2,
            transactions: vec![(id.clone(), report)],
            details: Details::default(),
        };
        let payment = Payment::register(registration, Timestamp::from_ms(1)).unwrap();
        payment.transactions[&id].clone()
    }

    #[test]
    fn a_state_that_the_transaction_has_reached_says_nothing_new() {
        for (state, reached) in [
            (Success, &[Initial, Unknown, Pending, Success][..]),
            (Pending, &[Initial, Unknown, Pending]),
            (Unknown, &[Initial, Unknown]),
            (Failure, &[Failure]),
        ] {
            for reported in [Initial, Unknown, Pending, Success, Failure] {
                let expected = reached.contains(&reported);
                let has_reached = charge(state).has_reached(reported);
                assert_eq!(has_reached, expected, "{reported:?} of one that is {state:?}");
            }
        }
    }
}
