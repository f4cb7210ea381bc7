//! The figures of one run, as it returns, logs and measures them.

use crate::observe::{self, Metric};
use crate::payment::{Payment, State, Timestamp, TransactionId};
use crate::ports::OpenCount;
use serde::Serialize;
use std::collections::BTreeMap;

/// The result of one run over the Payments that were due.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryRun {
    /// The number of Payments that were loaded.
    pub payments: u64,
    /// The number of transactions that are still open.
    pub open: u64,
    /// The number of open transactions that we sent and that are Unknown.
    pub unknown: u64,
    /// The number of transactions that are no longer open.
    pub resolved: u64,
    /// The age of the oldest Unknown transaction.
    pub oldest_unknown_ms: u64,
    /// The time since the first due Payment became due.
    pub oldest_due_ms: u64,
    /// The number of Payments that could not be read or written.
    pub failed: u64,
    /// The number of Payments left for a later run, because their connector gave no answer.
    pub left_out: u64,
    /// True if the time ran out before all were looked at. The next run continues.
    pub is_cut_short: bool,
    /// The figures of each connector that had a due Payment.
    pub connectors: BTreeMap<String, ConnectorRun>,
}

/// The figures of one connector in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorRun {
    /// The number of Payments with a due transaction.
    pub due: u64,
    /// The number of transactions that are no longer open.
    pub resolved: u64,
    /// The number of Payments left for a later run, because the connector gave no answer.
    pub left_out: u64,
    /// The time since the first due Payment became due.
    pub oldest_due_ms: u64,
}

impl RecoveryRun {
    /// Writes the metrics and the log line of a run, also if no Payment was due: without a
    /// line, recovery does not run.
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
            "recovery looked at the due transactions"
        );
    }

    /// Counts a Payment that was loaded with the transactions `open_before` open. Returns
    /// the number of them that are no longer open.
    pub(super) fn count(
        &mut self,
        open_before: &[TransactionId],
        payment: &Payment,
        now: Timestamp,
    ) -> u64 {
        self.payments = self.payments.saturating_add(1);
        for open in payment.open_transactions() {
            self.open = self.open.saturating_add(1);
            // A transaction that began elsewhere is resolved by reports, perhaps never.
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

/// Writes the numbers of open and due Payments: the work of all runs of this minute.
pub(super) fn log_open(count: OpenCount, at: Timestamp) {
    let metrics =
        [Metric::count("OpenPayments", count.open), Metric::count("DuePayments", count.due)];
    observe::measure(&metrics, at);
}
