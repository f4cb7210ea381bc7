//! Failures of requests, and their repair.

use super::StripeSandbox;

/// The failure of one POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripeFault {
    /// It is carried out, and the connection is closed.
    LostAnswer,
    /// The connection is closed, and nothing is carried out.
    LostRequest,
    /// It is carried out, and an error of Stripe is saved as its answer.
    ErrorAfterActing,
    /// It is carried out in part: the money moves, its `metadata` is not stored, and an error
    /// of Stripe is saved as its answer.
    ErrorWithoutMetadata,
    /// It is not carried out, and an error of Stripe is saved as its answer.
    ErrorWithoutActing,
    /// The object is at work for another request: no answer is saved, and it is carried out.
    LockedWhileActing,
    /// Too many requests: nothing is carried out, and no answer is saved.
    RateLimited,
    /// It takes this number of milliseconds, also if its caller does not wait.
    Slow(u64),
}

impl StripeSandbox {
    /// Stores the `metadata` of captures that an error lost, as a repair does.
    pub fn repair(&self) {
        let mut state = self.state();
        for (path, form) in std::mem::take(&mut state.lost_metadata) {
            if let [_, intent, "capture"] =
                path.trim_start_matches("/v1/").split('/').collect::<Vec<_>>()[..]
            {
                state.account.add_metadata(intent, form.metadata());
            }
        }
    }
}
