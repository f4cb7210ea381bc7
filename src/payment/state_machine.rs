//! The state machine of a connector's outcome: every state with every outcome.

#![warn(clippy::wildcard_enum_match_arm)]

use super::State;

/// The outcome of one attempt at a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The PSP did it.
    Approved,
    /// The PSP took it on and will report.
    Received,
    /// The connector rejected it, and that is trusted: nothing moved.
    Rejected,
    /// The connector provably never acted: nothing moved.
    NeverExecuted,
    /// It may have happened.
    Unknown,
    /// The connector rejected it, but its rejections prove nothing: it may have happened.
    RejectedWithoutProof,
    /// It provably did not happen, however unclear it was before: the recorded
    /// answer to its key, or a complete record without it.
    Disproved,
}

impl Outcome {
    /// True if the attempt ended without a trusted answer.
    pub(super) fn is_unclear(self) -> bool {
        match self {
            Self::Unknown | Self::RejectedWithoutProof => true,
            Self::Approved
            | Self::Received
            | Self::Rejected
            | Self::NeverExecuted
            | Self::Disproved => false,
        }
    }

    /// True if it is about the transaction as a whole, and not only about one attempt.
    pub(super) fn is_of_all_attempts(self) -> bool {
        match self {
            Self::Approved | Self::Received | Self::Disproved => true,
            Self::Rejected | Self::NeverExecuted | Self::Unknown | Self::RejectedWithoutProof => {
                false
            }
        }
    }
}

/// The step that an outcome leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The state stays.
    Stay,
    /// The transaction gets this state.
    To(State),
    /// The transaction is removed: nothing was sent.
    Withdraw,
    /// The state is final, and the outcome says the opposite.
    Dispute,
}

impl State {
    /// The step from this state, for every outcome.
    pub(super) fn after(self, outcome: Outcome) -> Step {
        match (self, outcome) {
            (Self::Initial, Outcome::Approved) => Step::To(Self::Success),
            (Self::Initial, Outcome::Received) => Step::To(Self::Pending),
            (Self::Initial, Outcome::Rejected) => Step::To(Self::Failure),
            (Self::Initial | Self::Pending | Self::Unknown, Outcome::Disproved) => {
                Step::To(Self::Failure)
            }
            (Self::Initial, Outcome::NeverExecuted) => Step::Withdraw,
            (Self::Initial, Outcome::Unknown | Outcome::RejectedWithoutProof) => {
                Step::To(Self::Unknown)
            }
            (Self::Unknown, Outcome::Received) => Step::To(Self::Pending),
            (Self::Pending | Self::Unknown, Outcome::Approved) => Step::To(Self::Success),
            (Self::Pending, Outcome::Received) => Step::Stay,
            // A rejection after an unclear attempt, or after the PSP accepted the action,
            // proves nothing.
            (
                Self::Pending | Self::Unknown,
                Outcome::Rejected
                | Outcome::NeverExecuted
                | Outcome::Unknown
                | Outcome::RejectedWithoutProof,
            ) => Step::Stay,
            // Final by a report, or by an earlier answer to the same key.
            (Self::Failure, Outcome::Approved | Outcome::Received) => Step::Dispute,
            (Self::Success, Outcome::Rejected | Outcome::Disproved) => Step::Dispute,
            (
                Self::Success,
                Outcome::Approved
                | Outcome::Received
                | Outcome::NeverExecuted
                | Outcome::Unknown
                | Outcome::RejectedWithoutProof,
            )
            | (
                Self::Failure,
                Outcome::Rejected
                | Outcome::NeverExecuted
                | Outcome::Unknown
                | Outcome::RejectedWithoutProof
                | Outcome::Disproved,
            ) => Step::Stay,
        }
    }
}
