//! A ledger that does not add up is never acted upon, and what is written is dated.

use super::*;
use payment_intents::money::Money;
use payment_intents::payment::{Balances, Inconsistent, Reported, Transaction};

#[test]
fn a_ledger_with_an_altered_sum_does_not_add_up() {
    let sound = payment(&[
        (Authorization, Success, 100),
        (Charge, Success, 60),
        (CancelAuthorization, Success, 10),
        (Refund, Success, 20),
    ]);
    assert_eq!(sound.check(), Ok(()));
    type Sum = fn(&mut Balances) -> &mut Money;
    let sums: [(_, Sum); 6] = [
        ("authorized", |balances| &mut balances.authorized),
        ("capturable", |balances| &mut balances.capturable),
        ("captured", |balances| &mut balances.captured),
        ("refundable", |balances| &mut balances.refundable),
        ("refunded", |balances| &mut balances.refunded),
        ("cancelled", |balances| &mut balances.cancelled),
    ];
    for (name, sum) in sums {
        let mut altered = sound.clone();
        let sum = sum(&mut altered.balances);
        *sum = sum.take(eur(1)).unwrap();
        assert_eq!(altered.check(), Err(Inconsistent::Sum(name)));
    }
    for (transaction, left) in [("past-1", Some(59)), ("past-1", None), ("past-0", Some(100))] {
        let mut altered = sound.clone();
        altered.transactions.get_mut(&id(transaction)).unwrap().refundable = left.map(eur);
        let expected = Err(Inconsistent::Sum("refundable of a Charge"));
        assert_eq!(altered.check(), expected, "{transaction} {left:?}");
    }
}

#[test]
fn an_excess_that_nothing_explains_does_not_add_up() {
    let mut payment = payment(TWO_CHARGES);
    for (name, action) in [("r", refund_of("past-1", 50)), ("s", refund_of("past-2", 40))] {
        let reserved = payment.reserve(&reservation(name, 1, action, at(1))).unwrap();
        payment = settled(&reserved, name, 1, Approved);
    }
    assert_eq!(payment.check(), Ok(()));
    let transaction = |payment: &mut Payment, name: &str, change: fn(&mut Transaction)| {
        change(payment.transactions.get_mut(&id(name)).unwrap());
    };
    // 90 refunded of the Charge of 60, of 100 captured in all.
    let mut of_one_charge = payment.clone();
    transaction(&mut of_one_charge, "s", |refund| refund.charge = Some(id("past-1")));
    transaction(&mut of_one_charge, "past-1", |charge| charge.refundable = Some(eur(0)));
    transaction(&mut of_one_charge, "past-2", |charge| charge.refundable = Some(eur(40)));
    // 110 refunded of 100 captured.
    let mut refunded = payment.clone();
    transaction(&mut refunded, "s", |refund| (refund.amount, refund.charge) = (eur(60), None));
    transaction(&mut refunded, "past-2", |charge| charge.refundable = Some(eur(40)));
    refunded.balances.refunded = eur(110);
    refunded.balances.refundable = eur(0);
    // 100 captured of 90 authorized.
    let mut captured = payment.clone();
    transaction(&mut captured, "past-0", |authorization| authorization.amount = eur(90));
    captured.balances.authorized = eur(90);
    let explanations: [fn(&mut Transaction); 3] = [
        |one| one.is_disputed = true,
        |one| one.state_awaiting_balances = Some(Success),
        |one| one.acknowledged = Some(Reported { by: None, at: at(9) }),
    ];
    for exceeded in [of_one_charge, refunded, captured] {
        assert_eq!(exceeded.check(), Err(Inconsistent::Excess));
        for explanation in explanations {
            let mut explained = exceeded.clone();
            transaction(&mut explained, "r", explanation);
            assert_eq!(explained.check(), Ok(()));
        }
    }
}

#[test]
fn an_initial_transaction_has_the_slot_and_the_slot_has_a_transaction() {
    let reserved = payment(AUTHORIZED).reserve(&reservation("t", 1, capture(40), at(1))).unwrap();
    let mut without_slot = reserved.clone();
    without_slot.in_flight = None;
    assert_eq!(without_slot.check(), Err(Inconsistent::Slot));
    let slot_of = |name: &str| {
        let mut altered = reserved.clone();
        altered.in_flight.as_mut().unwrap().transaction = id(name);
        altered.check()
    };
    assert_eq!(slot_of("t"), Ok(()));
    assert_eq!(slot_of("past-0"), Err(Inconsistent::Slot), "another has it");
    assert_eq!(slot_of("gone"), Err(Inconsistent::Slot), "nothing has it");
    // Even where nothing is Initial.
    let mut dangling = settled(&reserved, "t", 1, Approved);
    dangling.in_flight.clone_from(&reserved.in_flight);
    assert_eq!(dangling.check(), Ok(()), "a report settled it before its holder did");
    dangling.in_flight.as_mut().unwrap().transaction = id("gone");
    assert_eq!(dangling.check(), Err(Inconsistent::Slot));
}

#[test]
fn every_write_is_dated_and_raises_the_version() {
    let before = payment(AUTHORIZED);
    let reserved = before.reserve(&reservation("t", 1, capture(40), at(1))).unwrap();
    assert_eq!((reserved.version, reserved.modified_at), (before.version + 1, at(1)));
    let settled = settled(&reserved, "t", 1, Approved);
    assert_eq!((settled.version, settled.modified_at), (before.version + 2, at(5)));
    assert_eq!(settled.created_at, before.created_at);
}
