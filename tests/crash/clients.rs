//! Clients as they are in the world: some send a key, and repeat with it until
//! they are told what came of it; the others never repeat what may have
//! happened.

use crate::support::lambda::events::{act, header};
use crate::support::lambda::function::Function;
use crate::support::random::Random;
use crate::support::{Reply, cancel, capture, refund, reverse, told};
use crate::{DEADLINE_MS, PAYMENTS, QUIET, payment_id};
use payment_intents::payment::{Transaction, TransactionKind};
use serde_json::Value;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The payment interface of a Payment decides which connector serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    HonoursKeys,
    KnowsNoKeys,
    /// No connector: Stripe itself.
    Stripe,
}

impl Interface {
    /// That of the Payment of this number.
    pub fn of(payment: u64) -> Self {
        match payment % 3 {
            0 => Self::HonoursKeys,
            1 => Self::KnowsNoKeys,
            _ => Self::Stripe,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::HonoursKeys => "honours-keys",
            Self::KnowsNoKeys => "knows-no-keys",
            Self::Stripe => "stripe",
        }
    }
}

/// Something a client wants, once.
#[derive(Clone, Debug)]
pub struct Request {
    pub number: u64,
    pub payment: u64,
    pub action: Value,
    pub has_key: bool,
}

impl Request {
    fn random(number: u64, random: &mut Random) -> Self {
        // Those that come one after the other often meet at one Payment.
        let near = random.percent(50);
        let payment = if near { number / 4 % PAYMENTS } else { random.below(PAYMENTS) };
        // Stripe fails as it likes, and without a key nobody asks again in time.
        let has_key = Interface::of(payment) == Interface::Stripe || random.percent(50);
        let is_resent = Interface::of(payment) != Interface::KnowsNoKeys;
        let order = format!("order-{number}");
        let reference = match random.below(100) {
            0..8 => "sandbox:rejected",
            8..16 => "sandbox:received",
            // Proves nothing of an attempt before it: might stay Unknown there.
            16..20 if !has_key && !is_resent => "sandbox:refuse",
            // Without a key nobody asks again before recovery does so after a
            // minute: longer than this test runs.
            20..32 if has_key || !is_resent => {
                random.one_of(&["sandbox:drop", "sandbox:error", "sandbox:garbage"])
            }
            _ => &order,
        };
        let action = match random.below(100) {
            0..65 => told(capture(number), reference),
            65..90 => told(refund(number), reference),
            90..95 => told(cancel(), &order),
            _ => told(reverse(), &order),
        };
        Self { number, payment, action, has_key }
    }

    /// Whether the transaction is what became of it. Its number is the amount,
    /// or in the reference where it has no amount.
    pub fn became(&self, transaction: &Transaction) -> bool {
        let moves = matches!(transaction.kind, TransactionKind::Charge | TransactionKind::Refund);
        let is_numbered = moves && !transaction.reverses;
        let reference = format!("order-{}", self.number);
        transaction.merchant_reference == Some(reference)
            || is_numbered && transaction.amount.minor_units() == self.number
    }

    fn event(&self) -> Value {
        let event = act(&payment_id(self.payment), self.action.clone());
        if !self.has_key {
            return event;
        }
        header(event, "idempotency-key", format!("key-{}", self.number))
    }

    /// Whether its client knows now what came of it, or never will.
    fn is_told(&self, reply: Option<&Reply>) -> bool {
        match reply.map(|reply| reply.status) {
            None | Some(409 | 502 | 503) => !self.has_key,
            Some(500) => !self.has_key || Interface::of(self.payment) == Interface::KnowsNoKeys,
            Some(_) => true,
        }
    }
}

/// Before a client repeats what it was not told the outcome of.
const PAUSE: Duration = Duration::from_secs(1);

/// What was asked, and what was answered; `None` where the process died.
pub type Asked = (Request, Option<Reply>);

#[derive(Default)]
pub struct Clients(Mutex<State>);

#[derive(Default)]
struct State {
    number: u64,
    asked: Vec<Asked>,
    /// To be repeated, not before that moment, until somebody says what came of
    /// it.
    untold: Vec<(Instant, Request)>,
    under_way: usize,
}

impl Clients {
    /// One client among others: random actions, and repeats; from `until` on only
    /// the latter.
    pub async fn work(&self, lambdas: &[Function], mut random: Random, until: Instant) {
        while Instant::now() < until {
            let request = self.next(&mut random);
            self.ask(random.one_of(&[&lambdas[0], &lambdas[1]]), request).await;
        }
        while Instant::now() < until + QUIET && !self.are_all_told() {
            if let Some(request) = self.an_untold(&mut random) {
                self.ask(random.one_of(&[&lambdas[0], &lambdas[1]]), request).await;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    pub fn are_all_told(&self) -> bool {
        let state = self.state();
        state.untold.is_empty() && state.under_way == 0
    }

    /// All that was asked, repeats included, in the order of the answers.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }

    /// Requests with a key of whose outcome nobody told.
    pub fn untold(&self) -> Vec<Request> {
        self.state().untold.iter().map(|(_, request)| request.clone()).collect()
    }

    fn next(&self, random: &mut Random) -> Request {
        let old = match random.below(100) {
            0..25 => self.an_untold(random),
            25..33 => self.a_told(random),
            _ => None,
        };
        old.unwrap_or_else(|| {
            let mut state = self.state();
            state.number += 1;
            state.under_way += 1;
            Request::random(state.number, random)
        })
    }

    fn an_untold(&self, random: &mut Random) -> Option<Request> {
        let mut state = self.state();
        let due = |(at, _): &(Instant, Request)| *at <= Instant::now();
        let due: Vec<_> = (0..state.untold.len()).filter(|i| due(&state.untold[*i])).collect();
        if due.is_empty() {
            return None;
        }
        state.under_way += 1;
        Some(state.untold.swap_remove(random.one_of(&due)).1)
    }

    /// Something that was answered for good, to be answered so again.
    fn a_told(&self, random: &mut Random) -> Option<Request> {
        let mut state = self.state();
        let told = |(request, reply): &&Asked| {
            let recorded = reply.as_ref().is_some_and(is_recorded);
            request.has_key && recorded
        };
        let told: Vec<_> = state.asked.iter().filter(told).collect();
        if told.is_empty() {
            return None;
        }
        let request = random.one_of(&told).0.clone();
        state.under_way += 1;
        Some(request)
    }

    async fn ask(&self, lambda: &Function, request: Request) {
        let reply = lambda.request(DEADLINE_MS, &request.event()).await;
        let mut state = self.state();
        state.under_way -= 1;
        if !request.is_told(reply.as_ref()) {
            state.untold.push((Instant::now() + PAUSE, request.clone()));
        }
        state.asked.push((request, reply));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

/// Whether the answer is what the ledger has for this request from then on.
pub fn is_recorded(reply: &Reply) -> bool {
    matches!(reply.outcome(), (200, _) | (400, "PaymentFailure"))
}
