//! Realistic mistakes, one at a time, for the simulator: a proof that cannot fail
//! proves nothing. Without the feature `faults` every one of them is switched off
//! for good, and the compiler removes it.

/// A mistake that somebody could make in this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A call that timed out is taken for one that never happened.
    ReleaseOnTimeout,
    /// An error of the connector is taken for a "no".
    RejectOnError,
    /// A condition that failed is no obstacle.
    FailedConditionIsPermission,
    /// Whatever is unclear is sent again.
    ResendWhateverIsUnclear,
    /// What somebody else began is sent by us.
    ResendWhatOthersBegan,
    /// `rejected` is believed of everybody.
    TrustEveryRejection,
    /// That the second attempt never left proves that the first did not.
    SecondAttemptProvesTheFirst,
    /// The outcome is looked up while the connector may still work.
    LookUpAtOnce,
    /// Nobody knows his own write again.
    ForgetOwnNonce,
    /// Everybody takes the slot for his own.
    EverySlotIsMine,
    /// "No" counts in whatever state the transaction is.
    SettleWithoutState,
    /// Each repeat is a transaction of its own.
    NewTransactionPerRepeat,
    /// What is Unknown leaves the index.
    DropIndexKeysEarly,
    /// The caller is answered before the outcome is written.
    AnswerBeforeSettle,
    /// A fact that arrives before the answer is ignored.
    IgnoreEarlyFacts,
    /// What was held for too long is given back.
    ExpireHoldsByTime,
    /// A cancel does not mind what is open.
    CancelWhileOpen,
    /// A repeat is answered without a look at its content.
    ReplayWithoutContent,
    /// The slot is free before its holder is done.
    LeaseEndsEarly,
    /// A withdrawn reservation may arrive late.
    ForgetFence,
    /// A copy of a refused reservation may arrive late.
    ForgetCopies,
    /// A reservation that was not answered in time is not withdrawn.
    ForgetTimedOut,
    /// "Nothing was sent" is said of what may yet be sent.
    AnswerNothingSentTooSoon,
    /// The slot does not keep others out.
    IgnoreSlot,
    /// A write that came too late is taken for done.
    TakeChangedForDone,
    /// What is not shown never happened, whoever does not show it.
    AbsenceIsProof,
    /// One shown transaction settles two of ours.
    ClaimTwice,
    /// A shown failure is believed of everybody.
    TrustShownFailures,
    /// A lease that runs out gives its hold back.
    ExpireGivesBack,
    /// A key is sent again after its connector has forgotten it.
    ResendForgottenKeys,
    /// A fact is always a new transaction.
    AddEveryFact,
    /// A fact about one that is settled is a new transaction.
    AddWhatIsSettled,
    /// A fact is about whichever is of its kind.
    MatchWhateverAmount,
    /// A fact is about the oldest, whichever is at its connector.
    MatchOldestFirst,
    /// A fact is about what is open, rather than about what it says nothing new of.
    MatchOpenFirst,
    /// A cancel is known by its amount.
    MatchCancelsByAmount,
    /// What the PSP calls a transaction is not kept.
    ForgetNames,
    /// That nothing happened is believed of everybody, at any time.
    BelieveEveryFailure,
    /// A fact is booked, whether the balances allow it or not.
    BookWhatDoesNotFit,
    /// A fact that the balances do not allow is forgotten.
    DropWhatDoesNotFit,
    /// What becomes otherwise leaves the balances as they are.
    FlipWithoutBalances,
    /// A fact that is told again raises the version.
    CountRepeatedFacts,
    /// An answer changes what a fact has settled.
    AnswerOverFact,
    /// What the balances did not allow is never tried again.
    ForgetWaiting,
    /// What the balances did not allow is not tried again when an answer changes them.
    ForgetWaitingAtAnswers,
    /// What only fits together is tried one by one.
    BookOneByOne,
    /// Whoever reports frees the slot.
    FactFreesSlot,
    /// What was never sent again is withdrawn, although a fact confirmed it.
    WithdrawConfirmed,
    /// A failed authorization makes a sale none.
    FailedAuthorizationCounts,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 49] = [
        Self::ReleaseOnTimeout,
        Self::RejectOnError,
        Self::FailedConditionIsPermission,
        Self::ResendWhateverIsUnclear,
        Self::ResendWhatOthersBegan,
        Self::TrustEveryRejection,
        Self::SecondAttemptProvesTheFirst,
        Self::LookUpAtOnce,
        Self::ForgetOwnNonce,
        Self::EverySlotIsMine,
        Self::SettleWithoutState,
        Self::NewTransactionPerRepeat,
        Self::DropIndexKeysEarly,
        Self::AnswerBeforeSettle,
        Self::IgnoreEarlyFacts,
        Self::ExpireHoldsByTime,
        Self::CancelWhileOpen,
        Self::ReplayWithoutContent,
        Self::LeaseEndsEarly,
        Self::ForgetFence,
        Self::ForgetCopies,
        Self::ForgetTimedOut,
        Self::AnswerNothingSentTooSoon,
        Self::IgnoreSlot,
        Self::TakeChangedForDone,
        Self::AbsenceIsProof,
        Self::ClaimTwice,
        Self::TrustShownFailures,
        Self::ExpireGivesBack,
        Self::ResendForgottenKeys,
        Self::AddEveryFact,
        Self::AddWhatIsSettled,
        Self::MatchWhateverAmount,
        Self::MatchOldestFirst,
        Self::MatchOpenFirst,
        Self::MatchCancelsByAmount,
        Self::ForgetNames,
        Self::BelieveEveryFailure,
        Self::BookWhatDoesNotFit,
        Self::DropWhatDoesNotFit,
        Self::FlipWithoutBalances,
        Self::CountRepeatedFacts,
        Self::AnswerOverFact,
        Self::ForgetWaiting,
        Self::ForgetWaitingAtAnswers,
        Self::BookOneByOne,
        Self::FactFreesSlot,
        Self::WithdrawConfirmed,
        Self::FailedAuthorizationCounts,
    ];

    /// Whether this is the mistake that is being made.
    #[cfg(feature = "faults")]
    pub(crate) fn is_on(self) -> bool {
        ACTIVE.get() == Some(self)
    }

    /// Whether this is the mistake that is being made: never.
    #[cfg(not(feature = "faults"))]
    pub(crate) const fn is_on(self) -> bool {
        false
    }

    /// Has this thread make the mistake from now on, or none.
    #[cfg(feature = "faults")]
    pub fn switch(mutant: Option<Self>) {
        ACTIVE.set(mutant);
    }
}

#[cfg(feature = "faults")]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}
