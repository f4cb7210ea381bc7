//! The answers to callers, and checks of their promises.

use crate::ports::locked;
use crate::schedule::Schedule;
use crate::world::{Answer, Op};
use payment_intents::payment::{Refusal, State, TransactionId};
use payment_intents::ports::Verdict;
use payment_intents::service::{ActError, Done};

/// The answer to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answered {
    Result(u8),
    Refused,
    Busy,
    KeyReused,
    NothingSent,
    Unknown,
    /// An update was applied.
    Told,
}

impl Schedule {
    /// Checks the promise of an answer.
    pub fn check_answer(&mut self, client: usize, id: &TransactionId, answered: Answered) {
        let says_not_sent = match answered {
            Answered::Refused | Answered::Busy | Answered::NothingSent => true,
            Answered::Result(_) | Answered::KeyReused | Answered::Unknown | Answered::Told => false,
        };
        if says_not_sent && self.plan.clients[client].key.is_none() {
            self.not_sent.push(id.clone());
        }
        let mut world = locked(&self.world);
        world.note(|| format!("client {client} is answered {answered:?}"));
        let found = world.payment.transactions.get(id).cloned();
        let state = found.as_ref().map(|found| found.state);
        let spec = &self.plan.clients[client];
        match answered {
            Answered::Result(verdict) => {
                let expected = match verdict {
                    0 => &[State::Success][..],
                    1 => &[State::Pending, State::Success, State::Failure],
                    _ => &[State::Failure],
                };
                if !state.is_some_and(|state| expected.contains(&state)) {
                    world.violated(format!("{id} was answered {verdict}, but is {state:?}"));
                }
                if !found.is_some_and(|found| spec.is_wanted(&found)) {
                    world.violated(format!("{id} was answered for an action with other content"));
                }
            }
            Answered::NothingSent
            | Answered::Refused
            | Answered::Busy
            | Answered::KeyReused
            | Answered::Unknown
            | Answered::Told => {}
        }
        drop(world);
        self.check_client(client);
    }

    /// One wanted action has at most one effect, however often it was requested.
    pub fn check_client(&self, client: usize) {
        if self.plan.clients[client].key.is_some() {
            return;
        }
        let mut world = locked(&self.world);
        let prefix = format!("c{client}a");
        let mine = |id: &TransactionId| id.as_str().starts_with(&prefix);
        let effects = world.effects.iter();
        let count: usize = effects
            .filter(|effect| effect.transaction.as_ref().is_some_and(&mine))
            .map(|effect| usize::from(effect.moves))
            .sum();
        if count > 1 {
            world.violated(format!("client {client} wanted it once and got it {count} times"));
        }
    }
}

pub fn failed(op: &Op, call: Answer) -> Answer {
    if matches!(op, Op::Call(_)) { call } else { Answer::Unavailable }
}

/// The parts of an answer by which a caller decides.
pub fn described(answer: &Answer) -> String {
    match answer {
        Answer::Payment(payment) => {
            format!("payment {:?}", payment.as_ref().map(|payment| payment.version))
        }
        Answer::Keys(keys) => format!("{} keys", keys.len()),
        Answer::Reserved(Ok(payment), _) => format!("reserved, version {}", payment.version),
        Answer::Reserved(Err(payment), late_copy_possible) => {
            format!("refused, version {}, copy under way: {late_copy_possible}", payment.version)
        }
        Answer::Replaced(Ok(())) => "replaced".to_owned(),
        Answer::Replaced(Err(payment)) => format!("changed, version {}", payment.version),
        Answer::Verdict(verdict) => format!("{verdict:?}"),
        Answer::Shown(shown) => format!("{shown:?}"),
        Answer::Unavailable => "unavailable".to_owned(),
        Answer::NeverExecuted => "never executed".to_owned(),
        Answer::Unclear => "unclear".to_owned(),
    }
}

impl Answered {
    pub fn of(acted: &Result<Done, ActError>) -> Self {
        match acted {
            Ok(done) => Self::Result(match &done.verdict {
                Verdict::Approved => 0,
                Verdict::Received(_) => 1,
                Verdict::Rejected(_) => 2,
            }),
            Err(ActError::Refused(
                Refusal::OtherInFlight | Refusal::SameInFlight { .. } | Refusal::LeaseExpired,
            )) => Self::Busy,
            Err(ActError::Refused(Refusal::KeyReused)) => Self::KeyReused,
            Err(ActError::Refused(Refusal::PossiblyStaleCopy)) => Self::NothingSent,
            Err(ActError::Refused(_) | ActError::NotFound | ActError::Corrupt(_)) => Self::Refused,
            Err(ActError::ConnectorFailed(_) | ActError::Unavailable(_)) => Self::NothingSent,
            Err(ActError::OutcomeUnknown { .. }) => Self::Unknown,
        }
    }
}
