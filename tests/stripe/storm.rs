//! Random lives of a payment at a Stripe that fails now and then, while others are at work
//! in its dashboard, and events come in any order: in the end, its ledger is ours.
//!
//! `STRIPE_STORM_SEED=N` repeats one life, `STRIPE_STORM_LIVES=N` tries that many, from
//! that one on where both are given.

use crate::support::payments::{capture, id, refund};
use crate::support::random::{Random, seeds_of_lives};
use crate::world::{INTENT, MINUTE, World, dashboard, get};
use payment_intents::local::stripe::{StripeFault, StripeSandbox};
use payment_intents::payment::{Action, State, Transaction, TransactionKind};
use serde_json::Value;

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
    let seeds = seeds_of_lives("STRIPE_STORM", LIVES, multicapture);
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
        self.world.clock.advance(1);
        match self.random.below(100) {
            0..35 => self.ask_anew().await,
            35..50 => self.ask_again().await,
            50..70 => self.fail_next(),
            70..78 => self.act_in_the_dashboard().await,
            78..90 => self.tell_an_event().await,
            90..94 => {
                let status = self.random.one_of(&["succeeded", "pending"]);
                self.world.stripe.begin_refunds_as(status);
            }
            94..96 => self.world.stripe.repair(),
            _ => drop(self.world.recover_after(MINUTE).await),
        }
    }

    fn is_multicapture(&self) -> bool {
        self.seed.is_multiple_of(2)
    }

    /// Amounts of ours are even, and those of others odd.
    async fn ask_anew(&mut self) {
        let amount = 2 * (1 + self.random.below(30));
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
            StripeFault::LostAnswer,
            StripeFault::LostRequest,
            StripeFault::ErrorAfterActing,
            StripeFault::ErrorWithoutActing,
            StripeFault::RateLimited,
            StripeFault::LockedWhileActing,
        ]);
        // Metadata is lost for a single capture only, and Stripe repairs that later. With
        // several, an unmarked one that was reported stays another one.
        let is_first = !self.is_multicapture() && self.world.effects().is_empty();
        let fault = match is_first && self.random.below(3) == 0 {
            true => StripeFault::ErrorWithoutMetadata,
            false => fault,
        };
        if !self.world.stripe.has_plan() {
            self.world.stripe.plan(&[fault]);
        }
    }

    async fn act_in_the_dashboard(&mut self) {
        let amount = 1 + 2 * self.random.below(20);
        let stripe = &self.world.stripe;
        match self.random.below(6) {
            0 => {
                let form = format!("amount_to_capture={amount}");
                dashboard_safely(stripe, &format!("payment_intents/{INTENT}/capture"), &form).await;
            }
            1 => dashboard_safely(stripe, &format!("payment_intents/{INTENT}/cancel"), "").await,
            _ => {
                let form = format!("payment_intent={INTENT}&amount={amount}");
                dashboard_safely(stripe, "refunds", &form).await;
            }
        }
    }

    async fn tell_an_event(&mut self) {
        let events = self.world.stripe.events();
        if !events.is_empty() {
            let event = &events[self.random.index(events.len())];
            self.world.webhook(event).await.unwrap();
        }
    }

    /// Nothing fails any more, refunds end, events are told, and a day goes by.
    async fn calm_down(&mut self) {
        self.world.stripe.forget_plan();
        for minutes in [1, 2, 5] {
            self.world.recover_after(minutes * MINUTE).await;
        }
        for refund in refunds(&self.world).await {
            let status = self.random.one_of(&["succeeded", "failed"]);
            if refund["status"] == "pending" {
                self.world.stripe.end_refund(refund["id"].as_str().unwrap(), status);
            }
        }
        let mut events = self.world.stripe.events();
        while !events.is_empty() {
            let at = self.random.index(events.len());
            self.world.webhook(&events.swap_remove(at)).await.unwrap();
        }
        self.world.stripe.repair();
        self.world.clock.advance(24 * 60 * MINUTE);
        self.world.stripe.forget_keys();
        for _ in 0..3 {
            self.world.recover_after(60 * MINUTE).await;
        }
    }

    async fn compare(&self) {
        let payment = self.world.payment().await;
        let context = format!("seed {}: {:#?}", self.seed, payment.transactions);
        payment.check().unwrap();
        assert_eq!(payment.discrepancies().count(), 0, "{context}");
        let intent = get(&self.world.stripe, &format!("payment_intents/{INTENT}")).await;
        let refunds = refunds(&self.world).await;
        let done = refunds.iter().filter(|refund| refund["status"] == "succeeded");
        let refunded: u64 = done.map(|refund| refund["amount"].as_u64().unwrap()).sum();
        let received = intent["amount_received"].as_u64().unwrap();
        let capturable = intent["amount_capturable"].as_u64().unwrap();
        let released = 100 - received - capturable;
        assert_eq!(
            self.world.balances().await,
            [capturable, received, released, received - refunded, refunded],
            "{context}\n{intent}"
        );
        for (transaction, _) in &self.asked {
            // One of which nothing was sent is not there.
            if let Some(ours) = payment.transactions.get(&id(transaction)) {
                self.compare_one(ours, &intent, &refunds, &context);
            }
        }
    }

    fn compare_one(&self, ours: &Transaction, intent: &Value, refunds: &[Value], context: &str) {
        let effects = self.world.effects();
        let did = effects.iter().filter(|effect| effect.2 == ours.id.as_str()).count();
        assert!(did <= 1, "twice: {context}");
        let failed = refunds.iter().any(|refund| {
            refund["metadata"].get(ours.id.as_str()).is_some() && refund["status"] == "failed"
        });
        let is_right = match ours.state {
            // A cancel has no name, but there is only one of it, whoever asked for it.
            State::Success if ours.kind == TransactionKind::CancelAuthorization => {
                intent["status"] == "canceled"
            }
            State::Success => did == 1 && !failed,
            State::Failure => did == 0 || failed && ours.kind == TransactionKind::Refund,
            State::Initial | State::Pending | State::Unknown => false,
        };
        assert!(is_right, "{} {:?}, {did} effects: {context}", ours.id, ours.state);
    }
}

/// As in the dashboard, past the faults that are planned for us.
async fn dashboard_safely(stripe: &StripeSandbox, path: &str, form: &str) {
    if !stripe.has_plan() {
        dashboard(stripe, path, form).await;
    }
}

async fn refunds(world: &World) -> Vec<Value> {
    let path = format!("refunds?payment_intent={INTENT}&limit=100");
    get(&world.stripe, &path).await["data"].as_array().unwrap().clone()
}
