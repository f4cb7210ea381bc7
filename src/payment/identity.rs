//! Identity: the ids by which a report is about one transaction. An id that several
//! transactions share, or that the Payment has, identifies none.

#![warn(clippy::wildcard_enum_match_arm)]

use super::{Payment, Report, Transaction};

impl Payment {
    /// True if an id of the report belongs to this transaction only.
    pub(super) fn is_identified_by(&self, transaction: &Transaction, report: &Report) -> bool {
        if !self.is_alike(transaction, report) {
            return false;
        }
        if transaction.is_named_by_own_id(report) {
            return true;
        }
        let ids = self.identifying_ids(report);
        let is_same = |reported: Option<&str>, known: &Option<String>| {
            reported.is_some_and(|reported| known.as_deref() == Some(reported))
        };
        if ids.interaction.is_some() && self.has_unique_interaction_id(transaction) {
            return is_same(ids.interaction, &transaction.interaction_id);
        }
        is_same(ids.interaction, &transaction.interaction_id)
            || is_same(ids.interface, &transaction.interface_id)
    }

    /// The ids of the report that identify a transaction. An id that several share
    /// identifies none: some connectors report every effect with the authorization's id.
    pub(super) fn identifying_ids<'a>(&self, report: &'a Report) -> ReportIds<'a> {
        let is_shared = |id: &&str, of: fn(&Transaction) -> &Option<String>| {
            let has_it = |transaction: &&Transaction| of(transaction).as_deref() == Some(*id);
            let holders: Vec<_> = self.transactions.values().filter(has_it).collect();
            let is_of_other = holders.iter().any(|transaction| !self.is_alike(transaction, report));
            let is_of_payment = self.details.interface_id.as_deref() == Some(*id);
            is_of_payment || is_of_other || holders.len() > 1
        };
        let interaction = report.interaction_id.as_deref();
        let interface = report.interface_id.as_deref();
        ReportIds {
            interaction: interaction
                .filter(|id| !is_shared(id, |transaction| &transaction.interaction_id)),
            interface: interface
                .filter(|id| !is_shared(id, |transaction| &transaction.interface_id)),
        }
    }

    /// True if it has a PSP id that no other transaction has, nor the Payment.
    pub(super) fn has_unique_interaction_id(&self, transaction: &Transaction) -> bool {
        let Some(id) = &transaction.interaction_id else { return false };
        let is_same = |other: &&Transaction| other.interaction_id.as_ref() == Some(id);
        self.details.interface_id.as_ref() != Some(id)
            && self.transactions.values().filter(is_same).count() == 1
    }

    /// True if the report's ids allow that it is about this transaction. A transaction with
    /// another PSP id is another one, unless it got that id from a report that likeness
    /// matched to it and that gives way to this one.
    pub(super) fn can_have_ids(
        &self,
        transaction: &Transaction,
        ids: ReportIds<'_>,
        report: &Report,
    ) -> bool {
        let psp_id = ids.interaction.filter(|_| self.has_unique_interaction_id(transaction));
        if psp_id.is_none() || psp_id == transaction.interaction_id.as_deref() {
            return true;
        }
        let gave_name = transaction.likeness.as_ref().is_some_and(|one| one.gave_interaction_id);
        gave_name && transaction.gives_way_to(report.state, psp_id)
    }
}

/// The ids by which a report identifies a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReportIds<'a> {
    pub(super) interaction: Option<&'a str>,
    pub(super) interface: Option<&'a str>,
}

impl ReportIds<'_> {
    pub(super) fn is_empty(self) -> bool {
        self.interaction.is_none() && self.interface.is_none()
    }
}

impl Transaction {
    /// True if the report has our id of this transaction, and its type.
    pub(super) fn is_named_by_own_id(&self, report: &Report) -> bool {
        let own = Some(self.id.as_str());
        self.kind == report.kind
            && (report.interaction_id.as_deref() == own || report.interface_id.as_deref() == own)
    }
}
