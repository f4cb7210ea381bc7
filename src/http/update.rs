//! The body of `POST /{projectKey}/payments/{paymentId}`: the version that the
//! caller saw, and update actions of the platform.

use super::fields::{self, Form};
use super::headers::time_ordered;
use super::problem::Problem;
use crate::payment::{Report, State, Timestamp, TransactionId, Update};
use crate::platform::{STATES, TYPES, parse_time};
use uuid::ContextV7;

/// More than any connector has to say at once.
const ACTIONS_MAX: usize = 100;

/// What the caller saw, and what to change.
#[derive(Debug)]
pub(super) struct AskedUpdate {
    pub(super) version: u64,
    pub(super) updates: Vec<Update>,
}

#[derive(Clone, Copy)]
enum Asked {
    AddTransaction,
    ChangeTransactionState,
    ChangeTransactionInteractionId,
    ChangeTransactionTimestamp,
    SetTransactionInterfaceId,
    SetInterfaceId,
    AddInterfaceInteraction,
    SetStatusInterfaceCode,
    SetStatusInterfaceText,
    SetMethodInfoMethod,
    SetMethodInfoName,
    SetMethodInfoInterface,
    SetKey,
    AcknowledgeDiscrepancy,
}

const NAMES: [(&str, Asked); 14] = [
    ("addTransaction", Asked::AddTransaction),
    ("changeTransactionState", Asked::ChangeTransactionState),
    ("changeTransactionInteractionId", Asked::ChangeTransactionInteractionId),
    ("changeTransactionTimestamp", Asked::ChangeTransactionTimestamp),
    ("setTransactionInterfaceId", Asked::SetTransactionInterfaceId),
    ("setInterfaceId", Asked::SetInterfaceId),
    ("addInterfaceInteraction", Asked::AddInterfaceInteraction),
    ("setStatusInterfaceCode", Asked::SetStatusInterfaceCode),
    ("setStatusInterfaceText", Asked::SetStatusInterfaceText),
    ("setMethodInfoMethod", Asked::SetMethodInfoMethod),
    ("setMethodInfoName", Asked::SetMethodInfoName),
    ("setMethodInfoInterface", Asked::SetMethodInfoInterface),
    ("setKey", Asked::SetKey),
    // Not the platform's.
    ("acknowledgeDiscrepancy", Asked::AcknowledgeDiscrepancy),
];

/// Reads an update. `now` goes into the ids of new transactions.
pub(super) fn read(body: &str, now: Timestamp) -> Result<AskedUpdate, Problem> {
    let mut errors = Vec::new();
    let asked = fields::form(body, &mut errors)?.update(now)?;
    match asked {
        Some(asked) if errors.is_empty() => Ok(asked),
        Some(_) | None => Err(Problem::invalid_fields(&errors)),
    }
}

impl<'a> Form<'a, '_> {
    fn update(mut self, now: Timestamp) -> Result<Option<AskedUpdate>, Problem> {
        let version = self.required("version").and_then(|_| self.integer("version"));
        let Some(elements) = self.actions()? else { return Ok(None) };
        if elements.len() > ACTIONS_MAX {
            return Err(Problem::invalid_json("actions has more than 100 elements"));
        }
        let context = ContextV7::new();
        let mut updates = Vec::new();
        for (index, fields) in elements.into_iter().enumerate() {
            let mut form = self.nested(&format!("actions[{index}]"), fields);
            let Some(action) = form.required("action") else { continue };
            let name = serde_json::from_str::<String>(action.get()).unwrap_or_default();
            let Some((_, name)) = NAMES.iter().find(|(known, _)| *known == name) else {
                return Err(Problem::unknown_update(action.get()));
            };
            updates.extend(form.update_action(*name, now, &context));
        }
        Ok(version.map(|version| AskedUpdate { version, updates }))
    }

    fn update_action(
        &mut self,
        name: Asked,
        now: Timestamp,
        context: &ContextV7,
    ) -> Option<Update> {
        Some(match name {
            Asked::AddTransaction => {
                self.required("transaction")?;
                let report = self.object("transaction")?.report()?;
                Update::AddTransaction { id: time_ordered(now, context), report }
            }
            Asked::ChangeTransactionState => {
                let (id, _) = (self.transaction_id(), self.required("state")?);
                Update::ChangeTransactionState { state: self.one_of("state", &STATES)?, id: id? }
            }
            Asked::ChangeTransactionInteractionId => {
                let (id, _) = (self.transaction_id(), self.required("interactionId")?);
                let interaction_id = self.name("interactionId")?;
                Update::ChangeTransactionInteractionId { id: id?, interaction_id }
            }
            Asked::ChangeTransactionTimestamp => {
                let (id, _) = (self.transaction_id(), self.required("timestamp")?);
                let timestamp = self.read("timestamp", parse_time)?;
                Update::ChangeTransactionTimestamp { id: id?, timestamp }
            }
            Asked::SetTransactionInterfaceId => Update::SetTransactionInterfaceId {
                id: self.transaction_id()?,
                interface_id: self.name("interfaceId"),
            },
            Asked::SetInterfaceId => {
                self.required("interfaceId")?;
                Update::SetInterfaceId(Some(self.name("interfaceId")?))
            }
            Asked::AddInterfaceInteraction => {
                Update::AddInterfaceInteraction(self.custom_fields()?)
            }
            Asked::SetStatusInterfaceCode => {
                Update::SetStatusInterfaceCode(self.name("interfaceCode"))
            }
            Asked::SetStatusInterfaceText => {
                self.required("interfaceText")?;
                Update::SetStatusInterfaceText(Some(self.text("interfaceText")?))
            }
            Asked::SetMethodInfoMethod => Update::SetMethodInfoMethod(self.name("method")),
            Asked::SetMethodInfoName => Update::SetMethodInfoName(self.document("name")),
            Asked::SetMethodInfoInterface => {
                self.required("interface")?;
                Update::SetMethodInfoInterface(self.name("interface")?)
            }
            Asked::SetKey => Update::SetKey(self.payment_key("key")),
            Asked::AcknowledgeDiscrepancy => {
                Update::AcknowledgeDiscrepancy { id: self.transaction_id()? }
            }
        })
    }

    fn transaction_id(&mut self) -> Option<TransactionId> {
        self.required("transactionId")?;
        self.read("transactionId", |id| TransactionId::parse(id).ok())
    }

    /// The platform keeps `type` and `fields` of an interaction, side by side.
    fn custom_fields(&mut self) -> Option<String> {
        self.required("type")?;
        let kind = self.document("type")?;
        let fields = self.document("fields").unwrap_or_else(|| "{}".to_owned());
        Some(format!(r#"{{"type":{kind},"fields":{fields}}}"#))
    }

    /// A TransactionDraft of the platform.
    pub(super) fn report(mut self) -> Option<Report> {
        self.required("type");
        let kind = self.one_of("type", &TYPES);
        let state = match self.raw("state") {
            Some(_) => self.one_of("state", &STATES),
            None => Some(State::Initial),
        };
        let amount = self.amount("amount", 1);
        let timestamp = match self.raw("timestamp") {
            Some(_) => self.read("timestamp", parse_time).map(Some),
            None => Some(None),
        };
        let interaction_id = self.name("interactionId");
        let interface_id = self.name("interfaceId");
        Some(Report {
            kind: kind?,
            state: state?,
            amount: amount?,
            timestamp: timestamp?,
            interaction_id,
            interface_id,
        })
    }
}
