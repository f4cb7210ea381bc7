//! Clients like real ones: some send a key, and repeat with it until they know the outcome.
//! The others never repeat an action that may have happened.

use crate::support::lambda::events::{act, header};
use crate::support::lambda::function::Function;
use crate::support::random::Random;
use crate::support::{Reply, cancel, capture, refund, reverse, with_reference};
use crate::{DEADLINE_MS, PAYMENTS, QUIET, payment_id};
use payment_intents::payment::{Transaction, TransactionKind};
use serde_json::Value;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The payment interface of a Payment, which selects its connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    HonoursKeys,
    KnowsNoKeys,
    /// No connector: Stripe itself.
    Stripe,
    /// No connector: Adyen itself.
    Adyen,
}

impl Interface {
    /// The interface of the Payment with this number.
    pub fn of(payment: u64) -> Self {
        match payment % 4 {
            0 => Self::HonoursKeys,
            1 => Self::KnowsNoKeys,
            2 => Self::Stripe,
            _ => Self::Adyen,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::HonoursKeys => "honours-keys",
            Self::KnowsNoKeys => "knows-no-keys",
            Self::Stripe => "stripe",
            Self::Adyen => "adyen",
        }
    }
}

/// An action that a client requests, to be carried out once.
#[derive(Clone, Debug)]
pub struct Request {
    pub number: u64,
    pub payment: u64,
    pub action: Value,
    pub has_key: bool,
}

impl Request {
    fn random(number: u64, random: &mut Random) -> Self {
        // Consecutive requests often go to the same Payment.
        let near = random.percent(50);
        let payment = if near { number / 4 % PAYMENTS } else { random.below(PAYMENTS) };
        // Stripe and Adyen fail at random, and without a key nobody asks again in time.
        let is_direct = matches!(Interface::of(payment), Interface::Stripe | Interface::Adyen);
        let has_key = is_direct || random.percent(50);
        let is_resent = Interface::of(payment) != Interface::KnowsNoKeys;
        let order = format!("order-{number}");
        let reference = match random.below(100) {
            0..8 => "sandbox:rejected",
            8..16 => "sandbox:received",
            // A rejection proves nothing of an earlier attempt: it might stay Unknown.
            16..20 if !has_key && !is_resent => "sandbox:refuse",
            // Without a key, only recovery asks again, after a minute: longer than this
            // test runs.
            20..32 if has_key || !is_resent => {
                random.one_of(&["sandbox:drop", "sandbox:error", "sandbox:garbage"])
            }
            _ => &order,
        };
        let action = match random.below(100) {
            0..65 => with_reference(capture(number), reference),
            65..90 => with_reference(refund(number), reference),
            90..95 => with_reference(cancel(), &order),
            _ => with_reference(reverse(), &order),
        };
        Self { number, payment, action, has_key }
    }

    /// True if the transaction is the one of this action. Its number is its amount, or part
    /// of the reference where it has no amount.
    pub fn became(&self, transaction: &Transaction) -> bool {
        let moves = matches!(transaction.kind, TransactionKind::Charge | TransactionKind::Refund);
        let is_numbered = moves && !transaction.is_reversal;
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

    /// True if the client knows the outcome, or will never learn it.
    fn is_told(&self, reply: Option<&Reply>) -> bool {
        match reply.map(|reply| reply.status) {
            None | Some(409 | 502 | 503) => !self.has_key,
            Some(500) => !self.has_key || Interface::of(self.payment) == Interface::KnowsNoKeys,
            Some(_) => true,
        }
    }
}

/// The pause before a client repeats a request without an outcome.
const PAUSE: Duration = Duration::from_secs(1);

/// A request and its answer; `None` if the process died.
pub type Asked = (Request, Option<Reply>);

#[derive(Default)]
pub struct Clients(Mutex<State>);

#[derive(Default)]
struct State {
    number: u64,
    asked: Vec<Asked>,
    /// Repeated from that moment on, until an answer has the outcome.
    untold: Vec<(Instant, Request)>,
    under_way: usize,
}

impl Clients {
    /// Runs one of the clients: random actions and repeats; from `until` on, only repeats.
    pub async fn work(&self, lambdas: &[Function], mut random: Random, until: Instant) {
        while Instant::now() < until {
            let request = self.next(&mut random);
            self.ask(random.one_of(&[&lambdas[0], &lambdas[1]]), request).await;
        }
        while Instant::now() < until + QUIET && !self.are_all_told() {
            if let Some(request) = self.any_without_outcome(&mut random) {
                self.ask(random.one_of(&[&lambdas[0], &lambdas[1]]), request).await;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    pub fn are_all_told(&self) -> bool {
        let state = self.state();
        state.untold.is_empty() && state.under_way == 0
    }

    /// All requests, repeats included, in the order of their answers.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }

    /// The requests with a key that never got an outcome.
    pub fn untold(&self) -> Vec<Request> {
        self.state().untold.iter().map(|(_, request)| request.clone()).collect()
    }

    fn next(&self, random: &mut Random) -> Request {
        let old = match random.below(100) {
            0..25 => self.any_without_outcome(random),
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

    fn any_without_outcome(&self, random: &mut Random) -> Option<Request> {
        let mut state = self.state();
        let due = |(at, _): &(Instant, Request)| *at <= Instant::now();
        let due: Vec<_> = (0..state.untold.len()).filter(|i| due(&state.untold[*i])).collect();
        if due.is_empty() {
            return None;
        }
        state.under_way += 1;
        Some(state.untold.swap_remove(random.one_of(&due)).1)
    }

    /// Repeats a request with a final answer, which must be answered the same.
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

/// True if the ledger keeps this answer for the request.
pub fn is_recorded(reply: &Reply) -> bool {
    matches!(reply.outcome(), (200, _) | (400, "PaymentFailure"))
}
