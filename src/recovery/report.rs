//! The figures of one run: what it returns, logs and measures.

use crate::observe::{self, Metric};
use crate::payment::{Payment, State, Timestamp, TransactionId};
use crate::ports::OpenCount;
use serde::Serialize;
use std::collections::BTreeMap;

/// The result of one run over the Payments that were due.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryRun {
    /// Payments that were read.
    pub payments: u64,
    /// Their transactions that are still open.
    pub open: u64,
    /// Those of them that we sent, and whose outcome is Unknown.
    pub unknown: u64,
    /// Transactions that are no longer open.
    pub resolved: u64,
    /// The age of the oldest Unknown transaction.
    pub oldest_unknown_ms: u64,
    /// The time for which the Payment that was due first has been due.
    pub oldest_due_ms: u64,
    /// Payments that could not be read or written.
    pub failed: u64,
    /// Payments that were left for a later run, because their connector gave no answer.
    pub left_out: u64,
    /// True where the time ran out before all were looked at. The next run goes on.
    pub is_cut_short: bool,
    /// The same for each connector.
    pub connectors: BTreeMap<String, ConnectorRun>,
}

/// The figures of one connector in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorRun {
    /// Payments of which a transaction was due.
    pub due: u64,
    /// Their transactions that are no longer open.
    pub resolved: u64,
    /// Payments that were left for a later run, because the connector gave no answer.
    pub left_out: u64,
    /// The time for which the Payment that was due first has been due.
    pub oldest_due_ms: u64,
}

impl RecoveryRun {
    /// Writes the metrics and the log line of a run, also of one that found nothing:
    /// no line means that recovery does not run.
    pub fn log(&self, at: Timestamp) {
        let metrics = [
            Metric::milliseconds("OldestDuePayment", self.oldest_due_ms),
            Metric::milliseconds("OldestUnknownTransaction", self.oldest_unknown_ms),
            Metric::count("ResolvedTransactions", self.resolved),
            Metric::count("UnreadablePayments", self.failed),
            Metric::count("LeftOutPayments", self.left_out),
            Metric::count("RunsCutShort", self.is_cut_short.into()),
        ];
        observe::measure(&metrics, at);
        for (name, run) in &self.connectors {
            let metrics = [
                Metric::count("DuePayments", run.due),
                Metric::milliseconds("OldestDuePayment", run.oldest_due_ms),
                Metric::count("ResolvedTransactions", run.resolved),
                Metric::count("LeftOutPayments", run.left_out),
            ];
            observe::measure_connector(name, &metrics, at);
        }
        tracing::info!(
            payments = self.payments,
            open = self.open,
            unknown = self.unknown,
            resolved = self.resolved,
            oldest_due_ms = self.oldest_due_ms,
            failed = self.failed,
            left_out = self.left_out,
            is_cut_short = self.is_cut_short,
            "recovery looked at what is due"
        );
    }

    /// Counts a Payment that was read, by its transactions that were open then and its
    /// state now. Returns how many of them are no longer open.
    pub(super) fn count(
        &mut self,
        open_before: &[TransactionId],
        payment: &Payment,
        now: Timestamp,
    ) -> u64 {
        self.payments = self.payments.saturating_add(1);
        for open in payment.open_transactions() {
            self.open = self.open.saturating_add(1);
            // A transaction that began elsewhere is resolved elsewhere, perhaps never.
            if open.state == State::Unknown && open.was_sent_by_us() {
                let age_ms = now.ms_since(open.timestamp);
                self.oldest_unknown_ms = self.oldest_unknown_ms.max(age_ms);
                self.unknown = self.unknown.saturating_add(1);
            }
        }
        let is_open = |id: &TransactionId| payment.open_transactions().any(|open| open.id == *id);
        let resolved = open_before.iter().filter(|id| !is_open(id)).count();
        let resolved = u64::try_from(resolved).unwrap_or(u64::MAX);
        self.resolved = self.resolved.saturating_add(resolved);
        resolved
    }
}

/// Writes the metrics of what is open: the work of all runs of this minute.
pub(super) fn log_open(count: OpenCount, at: Timestamp) {
    let metrics =
        [Metric::count("OpenPayments", count.open), Metric::count("DuePayments", count.due)];
    observe::measure(&metrics, at);
}
