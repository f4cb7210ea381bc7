//! A Payment with many rejected transactions.

use crate::world::{World, eur, nonce};
use payment_intents::payment::{
    Action, DirectPsps, Outcome, Payment, Reservation, Settlement, TransactionId,
};
use payment_intents::ports::Verdict;

/// The transaction of the crowd whose request may be repeated.
pub const REJECTED: &str = "old-0";

/// The amount of that transaction. The others are of 1.
pub const REJECTED_AMOUNT: u64 = 40;

impl World {
    /// Fills the Payment, but for one transaction, with rejected ones: captures, or refunds
    /// where nothing can be captured. The next action is still reserved by the condition of
    /// the table; those after it are not.
    pub fn fill_with_rejected(&mut self) {
        let mut nonces = 1 << 100;
        let began = self.payment.created_at;
        for count in 0.. {
            if self.payment.transactions.len() + 1 >= Payment::TRANSACTIONS_MAX {
                return;
            }
            let (id, amount) = match count {
                0 => (REJECTED.to_owned(), eur(REJECTED_AMOUNT)),
                _ => (format!("old-{count}"), eur(1)),
            };
            let at = began.plus_ms(1_000 * (count + 1));
            let captured = Action::Capture { amount };
            let refunded = Action::Refund { amount, charge: None };
            let mut asked = Reservation {
                key: self.payment.key.clone(),
                transaction: TransactionId::parse(&id).unwrap(),
                nonce: nonce(&mut nonces),
                action: captured,
                merchant_reference: None,
                at,
                lease: at.plus_ms(33_000),
                psps: DirectPsps::default(),
            };
            if self.payment.admit(&asked).is_err() {
                asked.action = refunded;
            }
            let Ok(reserved) = self.payment.reserve(&asked) else { return };
            let settled =
                reserved.settle(&asked.transaction, &asked.nonce, Outcome::Rejected, at).unwrap();
            let Settlement::Changed(settled) = settled else { panic!("{settled:?}") };
            self.reserved_at.insert(asked.transaction.clone(), reserved.version);
            self.payment = *settled;
            self.answers.insert(asked.transaction, (Verdict::Rejected(None), at));
        }
    }
}
