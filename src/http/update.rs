//! The body of `POST /{projectKey}/payments/{paymentId}`: the version that the caller has
//! read, and update actions of the platform.

use super::fields::{self, Form};
use super::headers::time_ordered;
use super::problem::Problem;
use crate::payment::{Report, State, Timestamp, TransactionId, Update};
use crate::platform::{STATES, TYPES, parse_time};
use uuid::ContextV7;

/// The highest number of update actions in a request.
const ACTIONS_MAX: usize = 100;

/// The version that the caller has read, and the changes to it.
#[derive(Debug)]
pub(super) struct RequestedUpdate {
    pub(super) version: u64,
    pub(super) updates: Vec<Update>,
}

/// A function that reads an update action from its fields. `None` if one of them is
/// invalid.
type Read = fn(&mut Form<'_, '_>, &NewIds) -> Option<Update>;

/// The readers of the update actions, by the names of the actions.
const ACTIONS: [(&str, Read); 14] = [
    ("addTransaction", |form, new_ids| {
        form.required("transaction")?;
        let report = form.object("transaction")?.report()?;
        Some(Update::AddTransaction { id: new_ids.next(), report })
    }),
    ("changeTransactionState", |form, _| {
        let (id, _) = (form.transaction_id(), form.required("state")?);
        Some(Update::ChangeTransactionState { state: form.one_of("state", &STATES)?, id: id? })
    }),
    ("changeTransactionInteractionId", |form, _| {
        let (id, _) = (form.transaction_id(), form.required("interactionId")?);
        let interaction_id = form.short_text("interactionId")?;
        Some(Update::ChangeTransactionInteractionId { id: id?, interaction_id })
    }),
    ("changeTransactionTimestamp", |form, _| {
        let (id, _) = (form.transaction_id(), form.required("timestamp")?);
        let timestamp = form.read("timestamp", parse_time)?;
        Some(Update::ChangeTransactionTimestamp { id: id?, timestamp })
    }),
    ("setTransactionInterfaceId", |form, _| {
        let id = form.transaction_id()?;
        Some(Update::SetTransactionInterfaceId { id, interface_id: form.short_text("interfaceId") })
    }),
    ("setInterfaceId", |form, _| {
        form.required("interfaceId")?;
        Some(Update::SetInterfaceId(Some(form.short_text("interfaceId")?)))
    }),
    ("addInterfaceInteraction", |form, _| {
        form.custom_fields().map(Update::AddInterfaceInteraction)
    }),
    ("setStatusInterfaceCode", |form, _| {
        Some(Update::SetStatusInterfaceCode(form.short_text("interfaceCode")))
    }),
    ("setStatusInterfaceText", |form, _| {
        form.required("interfaceText")?;
        Some(Update::SetStatusInterfaceText(Some(form.text("interfaceText")?)))
    }),
    ("setMethodInfoMethod", |form, _| Some(Update::SetMethodInfoMethod(form.short_text("method")))),
    ("setMethodInfoName", |form, _| Some(Update::SetMethodInfoName(form.document("name")))),
    ("setMethodInfoInterface", |form, _| {
        form.required("interface")?;
        form.short_text("interface").map(Update::SetMethodInfoInterface)
    }),
    ("setKey", |form, _| Some(Update::SetKey(form.payment_key("key")))),
    // The platform has no such action.
    ("acknowledgeDiscrepancy", |form, _| {
        form.transaction_id().map(|id| Update::AcknowledgeDiscrepancy { id })
    }),
];

/// Generates the ids of the transactions that an update adds, in ascending order.
struct NewIds {
    now: Timestamp,
    context: ContextV7,
}

impl NewIds {
    fn next(&self) -> TransactionId {
        time_ordered(self.now, &self.context)
    }
}

/// Reads an update. `now` becomes part of the ids of new transactions.
pub(super) fn read(body: &str, now: Timestamp) -> Result<RequestedUpdate, Problem> {
    let mut errors = Vec::new();
    let requested = fields::form(body, &mut errors)?.update(now)?;
    match requested {
        Some(requested) if errors.is_empty() => Ok(requested),
        Some(_) | None => Err(Problem::invalid_fields(&errors)),
    }
}

impl<'a> Form<'a, '_> {
    fn update(mut self, now: Timestamp) -> Result<Option<RequestedUpdate>, Problem> {
        let version = self.required("version").and_then(|_| self.integer("version"));
        let Some(elements) = self.actions()? else { return Ok(None) };
        if elements.len() > ACTIONS_MAX {
            return Err(Problem::invalid_json("actions has more than 100 elements"));
        }
        let new_ids = NewIds { now, context: ContextV7::new() };
        let mut updates = Vec::new();
        for (index, fields) in elements.into_iter().enumerate() {
            let mut form = self.nested(&format!("actions[{index}]"), fields);
            let Some(action) = form.required("action") else { continue };
            let name = serde_json::from_str::<String>(action.get()).unwrap_or_default();
            let Some((_, read)) = ACTIONS.iter().find(|(known, _)| *known == name) else {
                return Err(Problem::unknown_update(action.get()));
            };
            updates.extend(read(&mut form, &new_ids));
        }
        Ok(version.map(|version| RequestedUpdate { version, updates }))
    }

    fn transaction_id(&mut self) -> Option<TransactionId> {
        self.required("transactionId")?;
        self.read("transactionId", |id| TransactionId::parse(id).ok())
    }

    /// The interaction of an `addInterfaceInteraction`: its `type` and `fields`.
    fn custom_fields(&mut self) -> Option<String> {
        self.required("type")?;
        let kind = self.document("type")?;
        let fields = self.document("fields").unwrap_or_else(|| "{}".to_owned());
        Some(format!(r#"{{"type":{kind},"fields":{fields}}}"#))
    }

    /// Reads a TransactionDraft of the platform.
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
        let interaction_id = self.short_text("interactionId");
        let interface_id = self.short_text("interfaceId");
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
