//! The body of `POST /{projectKey}/payment-intents/{paymentId}`.

use super::fields::{self, Form};
use super::invalid::Invalid;
use super::problem::Problem;
use crate::payment::{Action, TransactionId};

/// One action as the caller asked it.
#[derive(Debug)]
pub(super) struct AskedAction {
    pub(super) action: Action,
    pub(super) merchant_reference: Option<String>,
}

#[derive(Clone, Copy)]
enum Name {
    Capture,
    Refund,
    Cancel,
    Reverse,
}

const NAMES: [(&str, Name); 4] = [
    ("capturePayment", Name::Capture),
    ("refundPayment", Name::Refund),
    ("cancelPayment", Name::Cancel),
    ("reversePayment", Name::Reverse),
];

/// Reads the one action. What is wrong with the headers is told together with
/// what is wrong with the fields.
pub(super) fn read(body: &str, header: Option<&Invalid>) -> Result<AskedAction, Problem> {
    let mut errors = Vec::new();
    let asked = fields::form(body, &mut errors)?.only_action()?;
    match (asked, header) {
        (Some(asked), None) if errors.is_empty() => Ok(asked),
        _ => Err(Problem::invalid_fields(header.into_iter().chain(&errors))),
    }
}

impl Form<'_, '_> {
    fn only_action(mut self) -> Result<Option<AskedAction>, Problem> {
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

    fn action(mut self) -> Option<AskedAction> {
        self.required("action")?;
        let name = self.one_of("action", &NAMES)?;
        let merchant_reference = self.name("merchantReference");
        let action = match name {
            Name::Capture => Action::Capture { amount: self.amount("amount", 1)? },
            Name::Refund => {
                let amount = self.amount("amount", 1);
                let charge = self.read("transactionId", |id| TransactionId::parse(id).ok());
                Action::Refund { amount: amount?, charge }
            }
            Name::Cancel => Action::Cancel,
            Name::Reverse => Action::Reverse,
        };
        Some(AskedAction { action, merchant_reference })
    }
}
