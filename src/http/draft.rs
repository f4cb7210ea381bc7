//! The body of `POST /{projectKey}/payments`: a PaymentDraft of the platform, plus an
//! optional `id`, so that a Payment of another system keeps its id.

use super::fields::{self, Form};
use super::headers::time_ordered;
use super::problem::Problem;
#[cfg(feature = "local")]
use crate::error::BoxError;
use crate::money::{Currency, Money};
use crate::payment::{Details, PaymentId, PaymentKey, ProjectKey, Registration, Timestamp};
#[cfg(feature = "local")]
use serde_json::value::RawValue;
use uuid::{ContextV7, Uuid};

/// Reads a draft. Missing times are `now`.
pub(super) fn read(
    body: &str,
    project: ProjectKey,
    now: Timestamp,
) -> Result<Registration, Problem> {
    let mut errors = Vec::new();
    let registration = fields::form(body, &mut errors)?.registration(project, now);
    match registration {
        Some(registration) if errors.is_empty() => Ok(registration),
        Some(_) | None => Err(Problem::invalid_fields(&errors)),
    }
}

/// A draft of a file.
#[cfg(feature = "local")]
#[derive(Debug)]
pub struct FileDraft {
    /// The Payment to register.
    pub registration: Registration,
    /// True if the draft has an id.
    pub has_id: bool,
    /// The line and the column at which it begins.
    pub place: String,
}

/// Reads a JSON array of PaymentDrafts, as if each were posted to `project`. The error
/// says where the first draft begins that cannot be read, and why.
#[cfg(feature = "local")]
pub fn file_drafts(
    text: &str,
    project: &ProjectKey,
    now: Timestamp,
) -> Result<Vec<FileDraft>, BoxError> {
    let drafts: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| format!("it is not a JSON array of PaymentDrafts: {error}"))?;
    let file_draft = |draft: &&RawValue| {
        let place = place(text, draft.get());
        let registration = read(draft.get(), project.clone(), now)
            .map_err(|problem| format!("{place}: {}", problem.message()))?;
        let fields: fields::Fields<'_> = serde_json::from_str(draft.get())?;
        let has_id = fields.get("id").is_some_and(|id| id.get() != "null");
        Ok(FileDraft { registration, has_id, place })
    };
    drafts.iter().map(file_draft).collect()
}

/// The line and the column at which a part of `text` begins.
#[cfg(feature = "local")]
fn place(text: &str, part: &str) -> String {
    let offset = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.chars().rev().take_while(|c| *c != '\n').count().saturating_add(1);
    format!("line {line}, column {column}")
}

impl Form<'_, '_> {
    fn registration(mut self, project: ProjectKey, now: Timestamp) -> Option<Registration> {
        let id = self.read("id", |id| PaymentId::parse(id).ok());
        let planned = self.planned();
        let details = self.details();
        let context = ContextV7::new();
        let transactions = self
            .objects("transactions", |form| Some((time_ordered(now, &context), form.report()?)));
        let (amount_planned, fraction_digits) = planned?;
        let id = match id {
            Some(id) => id,
            None => PaymentId::parse(&Uuid::new_v4().to_string()).ok()?,
        };
        Some(Registration {
            key: PaymentKey { project, id },
            amount_planned,
            fraction_digits,
            transactions,
            details,
        })
    }

    /// The planned amount and the digits of its currency, which ISO 4217 has to list.
    fn planned(&mut self) -> Option<(Money, u8)> {
        let amount = self.amount("amountPlanned", 0)?;
        let mut planned = self.object("amountPlanned")?;
        planned.one_of("type", &[("centPrecision", ())]);
        let digits = |code: &str| Currency::parse(code).and_then(Currency::fraction_digits);
        planned.read("currencyCode", digits).map(|digits| (amount, digits))
    }

    fn details(&mut self) -> Details {
        let mut details = Details {
            key: self.payment_key("key"),
            interface_id: self.short_text("interfaceId"),
            customer: self.document("customer"),
            anonymous_id: self.short_text("anonymousId"),
            order: self.document("order"),
            cart: self.document("cart"),
            custom: self.document("custom"),
            interface_interactions: self.documents("interfaceInteractions"),
            ..Details::default()
        };
        if let Some(mut method) = self.object("paymentMethodInfo") {
            details.payment_interface = method.short_text("paymentInterface");
            details.method = method.short_text("method");
            details.method_name = method.document("name");
        }
        if let Some(mut status) = self.object("paymentStatus") {
            details.status_code = status.short_text("interfaceCode");
            details.status_text = status.text("interfaceText");
        }
        details
    }
}
