//! The ports of the real code, over the model.

use crate::direct::Object;
use crate::world::{Answer, Op, Process, SKEW_MS, World, key};
use payment_intents::error::BoxError;
use payment_intents::payment::{
    DirectPsps, Payment, PaymentKey, ProjectKey, Report, Reservation, Timestamp, Transaction,
    Update,
};
use payment_intents::ports::{
    Acknowledgement, Call, ClaimError, Clock, Connector, ConnectorError, ConnectorKey, CreateError,
    DuePage, DuePayment, IndexPart, Name, Notice, OpenCount, Policy, ReplaceError, Resend,
    ReserveError, Store, StoreError, Verdict, Webhook, WebhookRefusal, Webhooks,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// The view of the world by the process number `process`.
#[derive(Clone)]
pub struct Port {
    pub world: Arc<Mutex<World>>,
    pub process: usize,
}

impl Port {
    fn world(&self) -> MutexGuard<'_, World> {
        locked(&self.world)
    }

    fn ask(&self, op: Op) -> Asked {
        Asked { port: self.clone(), op: Some(op) }
    }
}

pub fn locked(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that waits for the scheduler. If it is dropped before the answer, its message is
/// still on its way.
struct Asked {
    port: Port,
    op: Option<Op>,
}

impl Future for Asked {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        // The scheduler polls the process after each step. A set of futures in the process
        // polls only those that were woken.
        context.waker().wake_by_ref();
        let op = self.op.take();
        let mut world = self.port.world();
        let process = &mut world.processes[self.port.process];
        if let Some(op) = op {
            process.pending = Some(op);
            let calls = |process: &&Process| matches!(process.pending, Some(Op::Call(_)));
            if world.processes.iter().filter(calls).count() > 1 && !world.is_skewed {
                world.violated("two actions are at the connector at once");
            }
            return Poll::Pending;
        }
        match process.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut world = self.port.world();
        let process = &mut world.processes[self.port.process];
        let until = process.deadline;
        if let Some(op) = process.pending.take() {
            let until = until.unwrap_or(world.now).plus_ms(crate::psp::CONNECTOR_WORKS_MS);
            let within_ms = until.ms_since(world.now);
            world.keep_late(self.port.process, op, within_ms);
        }
    }
}

/// Wakes when the scheduler has advanced the clock to that time.
struct Sleeping {
    port: Port,
    wake_at: Timestamp,
}

impl Future for Sleeping {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        context.waker().wake_by_ref();
        let mut world = self.port.world();
        if world.now >= self.wake_at {
            return Poll::Ready(());
        }
        let process = &mut world.processes[self.port.process];
        let earlier = process.wake_at.map_or(self.wake_at, |other| other.min(self.wake_at));
        process.wake_at = Some(earlier);
        Poll::Pending
    }
}

impl Clock for Port {
    fn now(&self) -> Timestamp {
        let world = self.world();
        let clock_ms = world.processes[self.process].clock_ms;
        world.now.plus_ms(clock_ms).minus_ms(SKEW_MS / 2)
    }

    fn sleep_ms(&self, ms: u64) -> impl Future<Output = ()> + Send {
        let wake_at = self.world().now.plus_ms(ms);
        Sleeping { port: self.clone(), wake_at }
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("the model says so".into())
}

impl Store for Port {
    type IndexPosition = ();

    async fn create(&self, _: &Payment) -> Result<(), CreateError> {
        Err(CreateError::Exists)
    }

    async fn get(&self, _: &PaymentKey) -> Result<Option<Payment>, StoreError> {
        match self.ask(Op::Get).await {
            Answer::Payment(payment) => Ok(payment.map(|payment| *payment)),
            _ => Err(unavailable()),
        }
    }

    async fn find(&self, _: &ProjectKey, _: &Name) -> Result<Option<Payment>, StoreError> {
        self.get(&key()).await
    }

    async fn claim(&self, _: &PaymentKey, _: &Name, _: Timestamp) -> Result<(), ClaimError> {
        Ok(())
    }

    async fn release(&self, _: &PaymentKey, _: &Name) -> Result<(), StoreError> {
        Ok(())
    }

    async fn reserve(&self, reservation: &Reservation) -> Result<Payment, ReserveError> {
        match self.ask(Op::Reserve(reservation.clone())).await {
            Answer::Reserved(Ok(payment), _) => Ok(*payment),
            Answer::Reserved(Err(found), late_copy_possible) => {
                Err(ReserveError::Refused { found, late_copy_possible })
            }
            _ => Err(unavailable().into()),
        }
    }

    async fn due(
        &self,
        _: IndexPart,
        at: Timestamp,
        _: Option<()>,
    ) -> Result<DuePage<()>, StoreError> {
        match self.ask(Op::Open).await {
            Answer::Keys(keys) => {
                let due = |key| DuePayment { key, due_at: at };
                Ok(DuePage { payments: keys.into_iter().map(due).collect(), next: None })
            }
            _ => Err(unavailable()),
        }
    }

    async fn count_open(&self, _: Timestamp) -> Result<OpenCount, StoreError> {
        Err(unavailable())
    }

    async fn replace(&self, from: &Payment, to: &Payment) -> Result<(), ReplaceError> {
        match self.ask(Op::Replace(from.clone().into(), to.clone().into())).await {
            Answer::Replaced(Ok(())) => Ok(()),
            Answer::Replaced(Err(found)) => Err(ReplaceError::Changed(found)),
            _ => Err(unavailable().into()),
        }
    }
}

impl Connector for Port {
    fn resends(&self) -> bool {
        self.world().tier.policy().resend != Resend::Never
    }

    fn psps(&self) -> DirectPsps {
        DirectPsps::default()
    }

    fn name<'a>(&self, _: &'a ConnectorKey) -> &'a str {
        "*"
    }

    fn policy(&self, _: &ConnectorKey) -> Policy {
        self.world().tier.policy()
    }

    async fn look_up(
        &self,
        _: &ConnectorKey,
        _: &Transaction,
        _: Timestamp,
    ) -> Result<Vec<Report>, BoxError> {
        match self.ask(Op::LookUp).await {
            Answer::Shown(shown) => Ok(shown),
            _ => Err("the model says so".into()),
        }
    }

    async fn call(&self, call: &Call, _: Timestamp) -> Result<Verdict, ConnectorError> {
        match self.ask(Op::Call(call.clone().into())).await {
            Answer::Verdict(verdict) => Ok(verdict),
            Answer::NeverExecuted => Err(ConnectorError::NotReached("the model says so".into())),
            _ => Err(ConnectorError::OutcomeUnknown("the model says so".into())),
        }
    }
}

impl Webhooks for Port {
    type Subject = Object;

    /// The first byte of the body is the number of the object.
    fn read(
        &self,
        webhook: &Webhook<'_>,
        _: Timestamp,
    ) -> Result<Vec<Notice<Object>>, WebhookRefusal> {
        let number = webhook.body.first().copied().unwrap_or_default();
        let notice = |subject| Notice { interface_id: "psp".to_owned(), subject };
        Ok(Object::ALL.get(usize::from(number)).copied().map(notice).into_iter().collect())
    }

    async fn read_subject(
        &self,
        _: &str,
        _: &ConnectorKey,
        subject: &Object,
        _: Timestamp,
    ) -> Result<Option<Vec<Update>>, BoxError> {
        match self.ask(Op::ReadObject(*subject)).await {
            Answer::Shown(shown) => Ok(Some(shown.into_iter().map(Update::RecordEffect).collect())),
            _ => Err("the model says so".into()),
        }
    }

    fn acknowledgement(&self, _: &str) -> Acknowledgement {
        Acknowledgement::EmptyObject
    }
}
