//! Random lives of a payment at an Adyen that fails now and then, while others are at work
//! in the Customer Area, captures and refunds fail at the scheme, and events come in any
//! order and several times: in the end, its ledger is ours.
//!
//! `ADYEN_STORM_SEED=N` repeats one life, `ADYEN_STORM_LIVES=N` tries that many, from that
//! one on if both are given.

use crate::support::payments::{capture, id, refund};
use crate::support::random::{Random, seeds_of_lives};
use crate::world::{DAY, MINUTE, PAYMENT, World};
use payment_intents::local::adyen::{AdyenFault, AdyenSandbox};
use payment_intents::payment::{Action, State, Transaction};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const LIVES: u64 = 40;
const STEPS: u64 = 30;

#[tokio::test]
async fn whatever_goes_wrong_with_one_capture_its_ledger_is_ours_in_the_end() {
    live(false).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_several_captures_its_ledger_is_ours_in_the_end() {
    live(true).await;
}

/// Lives whose account may capture once, or several times: every other one.
async fn live(multicapture: bool) {
    let seeds = seeds_of_lives("ADYEN_STORM", LIVES, multicapture);
    let mut acted = 0;
    for seed in &seeds {
        let mut life = Life::begin(*seed).await;
        for _ in 0..STEPS {
            life.step().await;
        }
        life.calm_down().await;
        acted += life.world.effects().len();
        life.compare().await;
    }
    assert!(acted > 0 || seeds.is_empty(), "that was no test");
}

/// Amounts that are held for another try.
struct Failed {
    captures: u64,
    refunds: u64,
}

struct Life {
    world: World,
    random: Random,
    seed: u64,
    asked: Vec<(String, Action)>,
}

impl Life {
    async fn begin(seed: u64) -> Self {
        let world = World::with(seed.is_multiple_of(2)).await;
        Self { world, random: Random::new(seed, 0), seed, asked: Vec::new() }
    }

    async fn step(&mut self) {
        self.world.advance(1_000);
        match self.random.below(100) {
            0..30 => self.ask_anew().await,
            30..40 => self.ask_again().await,
            40..58 => self.fail_next(),
            58..66 => self.act_in_the_customer_area(),
            66..84 => self.tell_an_event().await,
            84..90 => self.change_at_the_scheme(),
            _ => drop(self.world.recover_after(MINUTE).await),
        }
    }

    async fn ask_anew(&mut self) {
        let amount = 1 + self.random.below(60);
        let action = match self.random.below(10) {
            0..4 => capture(amount),
            4..8 => refund(amount),
            8 => Action::Cancel,
            _ => Action::Reverse,
        };
        let transaction = format!("t{}", self.asked.len());
        self.asked.push((transaction.clone(), action.clone()));
        let _ = self.world.act(&transaction, action).await;
    }

    async fn ask_again(&mut self) {
        if !self.asked.is_empty() {
            let (transaction, action) = self.asked[self.random.index(self.asked.len())].clone();
            let _ = self.world.act(&transaction, action).await;
        }
    }

    fn fail_next(&mut self) {
        let fault = self.random.one_of(&[
            AdyenFault::LostAnswer,
            AdyenFault::LostRequest,
            AdyenFault::ErrorAfterActing,
            AdyenFault::RecordedError,
            AdyenFault::Transient,
            AdyenFault::Unauthorized,
            AdyenFault::NotConfigured,
            AdyenFault::RefusedBeforeKey,
        ]);
        if !self.world.adyen.has_plan() {
            self.world.adyen.plan(&[fault]);
        }
    }

    /// Nobody captures or refunds there what failed and may come again: that would be one too
    /// many, and a discrepancy.
    fn act_in_the_customer_area(&mut self) {
        let amount = 1 + self.random.below(40);
        let path = self.random.one_of(&["captures", "refunds", "refunds", "refunds", "cancels"]);
        let [open, captured, refunded] = self.world.adyen.balances(PAYMENT);
        let failed = self.failed();
        let has_room = match path {
            "captures" => open >= failed.captures + amount,
            "refunds" => captured >= refunded + failed.refunds + amount,
            _ => failed.captures == 0,
        };
        if has_room {
            self.world.adyen.customer_area(PAYMENT, path, amount);
        }
    }

    /// The amounts that failed at the scheme and did not come again.
    fn failed(&self) -> Failed {
        let mut last = BTreeMap::new();
        for event in self.world.adyen.events() {
            last.insert(event["pspReference"].to_string(), event);
        }
        let sum = |code: &str| {
            let failed = last.values().filter(|event| event["eventCode"] == code);
            failed.map(|event| event["amount"]["value"].as_u64().unwrap()).sum()
        };
        Failed { captures: sum("CAPTURE_FAILED"), refunds: sum("REFUND_FAILED") }
    }

    /// Some events have the reference of the payment in place of ours.
    async fn tell_an_event(&mut self) {
        let events = self.world.adyen.events();
        if events.is_empty() {
            return;
        }
        let mut event = events[self.random.index(events.len())].clone();
        if self.random.percent(30) {
            event["merchantReference"] = json!("order-7");
            event = AdyenSandbox::signed(AdyenSandbox::HMAC_KEY, event);
        }
        self.world.deliver(&event).await.unwrap();
    }

    /// A capture or a refund fails, or is made again.
    fn change_at_the_scheme(&mut self) {
        let events = self.world.adyen.events();
        let done: Vec<_> = events.iter().filter(|event| event["success"] == "true").collect();
        if done.is_empty() {
            return;
        }
        let event = done[self.random.index(done.len())];
        let psp_reference = event["pspReference"].as_str().unwrap();
        let amount = event["amount"]["value"].as_u64().unwrap();
        let [_, captured, refunded] = self.world.adyen.balances(PAYMENT);
        // A capture of which something is refunded does not fail.
        let is_needed = captured < refunded + self.failed().refunds + amount;
        match event["eventCode"].as_str().unwrap() {
            "CAPTURE" if !is_needed => self.world.adyen.fail(psp_reference),
            "CAPTURE_FAILED" | "REFUND_FAILED" => self.world.adyen.try_again(psp_reference),
            "REFUND" if self.random.percent(50) => self.world.adyen.fail(psp_reference),
            "REFUND" => self.world.adyen.reverse_refund(psp_reference),
            _ => {}
        }
    }

    /// Nothing fails any more, what is open is sent again, and all events are delivered.
    async fn calm_down(&mut self) {
        self.world.adyen.forget_plan();
        for minutes in [1, 2, 5] {
            self.world.recover_after(minutes * MINUTE).await;
        }
        self.world.advance(DAY);
        let mut events = self.world.adyen.events();
        while !events.is_empty() {
            let event = events.swap_remove(self.random.index(events.len()));
            self.world.deliver(&event).await.unwrap();
        }
        self.world.recover_after(60 * MINUTE).await;
    }

    async fn compare(&self) {
        let payment = self.world.payment().await;
        let events = self.world.adyen.events();
        let context = format!("seed {}: {:#?}\n{events:#?}", self.seed, payment.transactions);
        payment.check().unwrap();
        let [open, captured, refunded] = self.world.adyen.balances(PAYMENT);
        let failed = self.failed();
        // Somebody captured or refunded there what we had not been told of: if what failed
        // comes again, it is too much.
        let is_too_much = captured + failed.captures > 100 || refunded + failed.refunds > captured;
        assert_eq!(payment.discrepancies().count() > 0, is_too_much, "{context}");
        if is_too_much {
            return;
        }
        let capturable = open - failed.captures;
        let refundable = captured - refunded - failed.refunds;
        assert_eq!(
            self.world.balances().await,
            [capturable, captured, 100 - captured - open, refundable, refunded],
            "{context}"
        );
        for (transaction, _) in &self.asked {
            // One of which nothing was sent is not there.
            if let Some(ours) = payment.transactions.get(&id(transaction)) {
                self.compare_one(ours, &events, &context);
            }
        }
    }

    fn compare_one(&self, ours: &Transaction, events: &[Value], context: &str) {
        let effects = self.world.effects();
        let did = effects.iter().filter(|effect| effect.2 == ours.id.as_str()).count();
        assert!(did <= 1, "twice: {context}");
        let told = events.iter().rfind(|event| event["merchantReference"] == ours.id.as_str());
        let expected = told.map_or(State::Failure, |event| {
            match (event["eventCode"].as_str().unwrap(), event["success"] == "true") {
                ("CAPTURE_FAILED" | "REFUND_FAILED", _) => State::Pending,
                (_, false) | ("REFUNDED_REVERSED", true) => State::Failure,
                (_, true) => State::Success,
            }
        });
        let is_right = ours.state == expected && (did == 1 || expected != State::Success);
        assert!(is_right, "{} {:?}, {did} effects: {context}", ours.id, ours.state);
    }
}
