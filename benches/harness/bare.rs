//! A store and a connector that answer at once, so that only our own code is measured.

use payment_intents::error::BoxError;
use payment_intents::payment::{
    DirectPsps, Payment, PaymentKey, ProjectKey, Report, Reservation, Timestamp, Transaction,
    Update,
};
use payment_intents::ports::{
    Acknowledgement, Call, ClaimError, Connector, ConnectorError, ConnectorKey, CreateError,
    DuePage, IndexPart, Name, Notice, OpenCount, Policy, ReplaceError, ReserveError, Store,
    StoreError, Verdict, Webhook, WebhookRefusal, Webhooks,
};

/// A store with one Payment, which is unchanged for every action, or with none.
pub struct Memory(pub Option<Payment>);

/// A connector that approves.
pub struct Approving;

impl Store for Memory {
    type IndexPosition = ();

    async fn create(&self, _: &Payment) -> Result<(), CreateError> {
        Ok(())
    }

    async fn get(&self, _: &PaymentKey) -> Result<Option<Payment>, StoreError> {
        Ok(self.0.clone())
    }

    async fn find(&self, _: &ProjectKey, _: &Name) -> Result<Option<Payment>, StoreError> {
        Ok(None)
    }

    async fn claim(&self, _: &PaymentKey, _: &Name, _: Timestamp) -> Result<(), ClaimError> {
        Ok(())
    }

    async fn release(&self, _: &PaymentKey, _: &Name) -> Result<(), StoreError> {
        Ok(())
    }

    async fn reserve(&self, reservation: &Reservation) -> Result<Payment, ReserveError> {
        let payment = self.0.as_ref().ok_or(ReserveError::NotFound)?;
        Ok(payment.reserve(reservation).expect("it is admitted"))
    }

    async fn due(
        &self,
        _: IndexPart,
        _: Timestamp,
        _: Option<()>,
    ) -> Result<DuePage<()>, StoreError> {
        Ok(DuePage { payments: Vec::new(), next: None })
    }

    async fn count_open(&self, _: Timestamp) -> Result<OpenCount, StoreError> {
        Ok(OpenCount::default())
    }

    async fn replace(&self, _: &Payment, _: &Payment) -> Result<(), ReplaceError> {
        Ok(())
    }
}

impl Connector for Approving {
    fn resends(&self) -> bool {
        false
    }

    fn psps(&self) -> DirectPsps {
        DirectPsps::default()
    }

    fn name<'a>(&self, _: &'a ConnectorKey) -> &'a str {
        "*"
    }

    fn policy(&self, _: &ConnectorKey) -> Policy {
        Policy::default()
    }

    async fn look_up(
        &self,
        _: &ConnectorKey,
        _: &Transaction,
        _: Timestamp,
    ) -> Result<Vec<Report>, BoxError> {
        Ok(Vec::new())
    }

    async fn call(&self, _: &Call, _: Timestamp) -> Result<Verdict, ConnectorError> {
        Ok(Verdict::Approved)
    }
}

impl Webhooks for Approving {
    type Subject = ();

    fn read(&self, _: &Webhook<'_>, _: Timestamp) -> Result<Vec<Notice<()>>, WebhookRefusal> {
        Err(WebhookRefusal::NoSuchConnector)
    }

    async fn read_subject(
        &self,
        _: &str,
        _: &ConnectorKey,
        (): &(),
        _: Timestamp,
    ) -> Result<Option<Vec<Update>>, BoxError> {
        Ok(None)
    }

    fn acknowledgement(&self, _: &str) -> Acknowledgement {
        Acknowledgement::EmptyObject
    }
}
