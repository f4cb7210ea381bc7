//! The body of `POST /{projectKey}/payment-intents/{paymentId}`.

use super::fields::{self, Form};
use super::invalid::Invalid;
use super::problem::Problem;
use crate::payment::{Action, TransactionId};

/// The action that a caller asks for.
#[derive(Debug)]
pub(super) struct RequestedAction {
    pub(super) action: Action,
    pub(super) merchant_reference: Option<String>,
}

/// A function that reads the fields of an action. `None` if one of them is invalid.
type Read = fn(&mut Form<'_, '_>) -> Option<Action>;

/// The readers of the actions, by the names of the actions.
const ACTIONS: [(&str, Read); 4] = [
    ("capturePayment", |form| Some(Action::Capture { amount: form.amount("amount", 1)? })),
    ("refundPayment", |form| {
        let amount = form.amount("amount", 1);
        let charge = form.read("transactionId", |id| TransactionId::parse(id).ok());
        Some(Action::Refund { amount: amount?, charge })
    }),
    ("cancelPayment", |_| Some(Action::Cancel)),
    ("reversePayment", |_| Some(Action::Reverse)),
];

/// Reads the single action of a body. The error names all invalid fields, and the
/// invalid `header` if there is one.
pub(super) fn read(body: &str, header: Option<&Invalid>) -> Result<RequestedAction, Problem> {
    let mut errors = Vec::new();
    let requested = fields::form(body, &mut errors)?.only_action()?;
    match (requested, header) {
        (Some(requested), None) if errors.is_empty() => Ok(requested),
        _ => Err(Problem::invalid_fields(header.into_iter().chain(&errors))),
    }
}

impl Form<'_, '_> {
    fn only_action(mut self) -> Result<Option<RequestedAction>, Problem> {
        let Some(elements) = self.actions()? else { return Ok(None) };
        let mut elements = elements.into_iter();
        match (elements.next(), elements.next()) {
            (None, _) => {
                self.missing("actions");
                Ok(None)
            }
            (Some(only), None) => Ok(self.element(only).action()),
            (Some(_), Some(_)) => Err(Problem::multiple_actions()),
        }
    }

    fn action(mut self) -> Option<RequestedAction> {
        self.required("action")?;
        let read = self.one_of("action", &ACTIONS)?;
        let merchant_reference = self.short_text("merchantReference");
        Some(RequestedAction { action: read(&mut self)?, merchant_reference })
    }
}
