//! Compares the ledgers of the PSPs with the Payments, and both with the answers.

use crate::clients::{Asked, Interface, Request, is_recorded};
use crate::support::Reply;
use crate::{PAYMENTS, World, payment_id};
use payment_intents::local::sandbox::Effect;
use payment_intents::payment::{Payment, State, Transaction};
use serde_json::json;
use std::collections::HashMap;

/// The result: counts, and each violation as a sentence.
#[derive(Default)]
pub struct Audit {
    pub actions: usize,
    pub effects: usize,
    lost: Vec<String>,
    twice: Vec<String>,
    /// Other violations of the rules.
    wrong: Vec<String>,
}

/// Effects by payment interface, Payment, and the key that was sent.
type Effects = HashMap<(&'static str, String, String), Vec<Effect>>;

impl Audit {
    pub async fn of(world: &World) -> Self {
        let mut audit = Self::default();
        let mut effects = audit.effects(world);
        let mut payments = Vec::new();
        for number in 0..PAYMENTS {
            payments.push(world.payment(number).await);
        }
        let asked = world.clients.take_asked();
        audit.actions = asked.len();
        audit.answers(&asked, &payments, &effects);
        for request in world.clients.untold() {
            audit.lost.push(format!("no answer has the outcome of {request:?}"));
        }
        for (number, payment) in (0..).zip(&payments) {
            audit.payment(Interface::of(number), payment, &mut effects);
        }
        for orphans in effects.values() {
            audit.lost.push(format!("no ledger has {orphans:?}"));
        }
        audit
    }

    /// The counts: `0 lost, 0 twice` is correct.
    pub fn summary(&self) -> String {
        let wrong = self.wrong.len();
        let wrong = if wrong == 0 { String::new() } else { format!(", {wrong} wrong") };
        format!(
            "{} effects, {} lost, {} twice{wrong}",
            self.effects,
            self.lost.len(),
            self.twice.len()
        )
    }

    /// One line for each violation.
    pub fn findings(&self) -> String {
        let findings = |kind, of: &[String]| -> Vec<_> {
            of.iter().map(|finding| format!("{kind}: {finding}")).collect()
        };
        let kinds = [("lost", &self.lost), ("twice", &self.twice), ("wrong", &self.wrong)];
        kinds.map(|(kind, of)| findings(kind, of)).concat().join("\n")
    }

    fn effects(&mut self, world: &World) -> Effects {
        let mut effects = Effects::new();
        for (interface, sandbox) in [
            (Interface::HonoursKeys, &world.honours_keys),
            (Interface::KnowsNoKeys, &world.knows_no_keys),
        ] {
            for effect in sandbox.ledger() {
                self.effects += 1;
                let key = effect.idempotency_key.clone().unwrap_or_default();
                let of = (interface.name(), effect.payment_id.clone(), key);
                effects.entry(of).or_default().push(effect);
            }
        }
        for effect in world.stripe.ledger() {
            self.effects += 1;
            let payment = effect.payment_id.replacen("pi_", "payment-", 1);
            let key = effect.idempotency_key.clone().unwrap_or_default();
            let of = (Interface::Stripe.name(), payment, key);
            effects.entry(of).or_default().push(effect);
        }
        for effect in world.adyen.ledger() {
            self.effects += 1;
            let payment = effect.payment_id.replacen("PAYMENT", "payment-", 1);
            let key = effect.idempotency_key.clone().unwrap_or_default();
            let of = (Interface::Adyen.name(), payment, key);
            effects.entry(of).or_default().push(effect);
        }
        effects
    }

    fn payment(&mut self, by: Interface, payment: &Payment, effects: &mut Effects) {
        let key = &payment.key;
        if let Err(error) = payment.check() {
            self.wrong.push(format!("{key}: {error}"));
        }
        if let Some(slot) = &payment.in_flight {
            self.lost.push(format!("{key}: {} is in flight for ever", slot.transaction));
        }
        for transaction in payment.transactions.values() {
            let did = effects.remove(&claim(by, payment, transaction)).unwrap_or_default();
            self.transaction(by, transaction, &did);
        }
    }

    /// One effect for a Success, none for a Failure, and at most one for an open
    /// transaction.
    fn transaction(&mut self, by: Interface, transaction: &Transaction, did: &[Effect]) {
        let Some(action) = transaction.action() else { return };
        // The rest that Stripe released with a capture.
        if transaction.is_external && by == Interface::Stripe {
            return;
        }
        let finding = format!("{transaction:?}, {by:?}, {did:?}");
        let amount = transaction.amount.minor_units();
        let currency = transaction.amount.currency().to_string();
        let is_other = |did: &Effect| {
            (did.action.as_str(), did.cent_amount, &did.currency_code)
                != (action.name(), amount, &currency)
        };
        if did.iter().any(is_other) {
            self.wrong.push(finding.clone());
        }
        match (transaction.state, by, did.len()) {
            (_, _, 2..) => self.twice.push(finding),
            // Its webhook says how it ended.
            (State::Pending, Interface::Adyen, _) => self.lost.push(finding),
            (State::Success | State::Pending, _, 1)
            | (State::Failure, _, 0)
            | (State::Unknown, Interface::KnowsNoKeys, _) => {}
            (State::Success | State::Pending | State::Failure, _, _)
            | (State::Unknown | State::Initial, _, _) => self.lost.push(finding),
        }
    }

    fn answers(&mut self, asked: &[Asked], payments: &[Payment], effects: &Effects) {
        let mut told = HashMap::new();
        for (request, reply) in asked {
            let Some(reply) = reply else { continue };
            let finding = format!("{request:?} was answered {reply:?}");
            let payment = payments
                .iter()
                .find(|payment| payment.key.id.as_str() == payment_id(request.payment))
                .unwrap();
            let by = Interface::of(request.payment);
            let did = |known: &&Transaction| {
                request.became(known) && effects.contains_key(&claim(by, payment, known))
            };
            let happened = payment.transactions.values().filter(did).count();
            let id = reply.header("x-transaction-id");
            let state = payment
                .transactions
                .values()
                .find(|known| Some(known.id.as_str()) == id && request.became(known))
                .map(|known| known.state);
            match reply.outcome() {
                _ if happened > 1 => self.twice.push(finding.clone()),
                (200, _) if reply.body != json!({}) => self.wrong.push(finding.clone()),
                (200, _) if matches!(state, Some(State::Success | State::Pending)) => {}
                (200, _) => self.lost.push(finding.clone()),
                (400, "PaymentFailure") if state == Some(State::Failure) => {}
                (400, "PaymentFailure") => self.lost.push(finding.clone()),
                // These may still happen, and their clients repeat the request.
                (409 | 502 | 503, _) if request.has_key => {}
                (400 | 409 | 502 | 503, _) if happened > 0 => {
                    self.twice.push(format!("as if nothing had happened, {finding}"));
                }
                (400, "InvalidOperation" | "MaxResourceLimitExceeded") | (409 | 502 | 503, _) => {}
                (500, "General") if id.is_some() => {}
                _ => self.wrong.push(finding.clone()),
            }
            self.repeated(&mut told, request, reply, finding);
        }
    }

    /// Every later answer for a key is the recorded one, unless the store could not be
    /// read.
    fn repeated<'a>(
        &mut self,
        told: &mut HashMap<u64, (u16, &'a str, Option<&'a str>)>,
        request: &Request,
        reply: &'a Reply,
        finding: String,
    ) {
        if !request.has_key || reply.status == 503 {
            return;
        }
        let (status, code) = reply.outcome();
        let now = (status, code, reply.header("x-transaction-id"));
        if told.get(&request.number).is_some_and(|before| *before != now) {
            self.wrong.push(format!("{:?} before, {finding}", told[&request.number]));
        }
        if is_recorded(reply) {
            told.insert(request.number, now);
        }
    }
}

/// The key of the effect of this transaction of a Payment.
fn claim(
    by: Interface,
    payment: &Payment,
    transaction: &Transaction,
) -> (&'static str, String, String) {
    (by.name(), payment.key.id.as_str().to_owned(), transaction.id.to_string())
}
