//! Updates one by one: each changes one thing, once.

use super::*;
use payment_intents::payment::{Details, Registration, RegistrationRefusal};
use support::payments::key;

fn updated(payment: &Payment, update: &Update) -> Result<Payment, UpdateRefusal> {
    payment.update(std::slice::from_ref(update), &reporter(later(), true))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn an_update_changes_its_field_and_the_version_once() {
    type Changed = fn(&Payment) -> bool;
    let (name, time) = (id("past-0"), at(7));
    let rows: [(Update, Changed); 12] = [
        (Update::SetInterfaceId(some("i")), |new| new.details.interface_id == some("i")),
        (Update::SetStatusInterfaceCode(some("c")), |new| new.details.status_code == some("c")),
        (Update::SetStatusInterfaceText(some("t")), |new| new.details.status_text == some("t")),
        (Update::SetMethodInfoMethod(some("m")), |new| new.details.method == some("m")),
        (Update::SetMethodInfoName(some("{}")), |new| new.details.method_name == some("{}")),
        (Update::SetMethodInfoInterface("p".to_owned()), |new| {
            new.details.payment_interface == some("p")
        }),
        (Update::SetKey(some("k")), |new| new.details.key == some("k")),
        (Update::ChangeTransactionTimestamp { id: name.clone(), timestamp: time }, |new| {
            new.transactions[&id("past-0")].happened_at == Some(at(7))
        }),
        (
            Update::ChangeTransactionInteractionId { id: name.clone(), interaction_id: "x".into() },
            |new| new.transactions[&id("past-0")].interaction_id == some("x"),
        ),
        (Update::SetTransactionInterfaceId { id: name, interface_id: some("f") }, |new| {
            new.transactions[&id("past-0")].interface_id == some("f")
        }),
        (Update::ChangeTransactionState { id: id("past-0"), state: Failure }, |new| {
            new.transactions[&id("past-0")].state == Failure
        }),
        (
            Update::AddTransaction { id: id("new"), report: report(Charge, Success, 40, "X") },
            |new| new.balances.captured == eur(40),
        ),
    ];
    let before = payment(AUTHORIZED);
    for (update, is_changed) in rows {
        assert!(!is_changed(&before), "{update:?}");
        let once = updated(&before, &update).unwrap();
        assert!(is_changed(&once), "{update:?}");
        assert_eq!((once.version, once.modified_at), (before.version + 1, later()), "{update:?}");
        assert_eq!(updated(&once, &update).unwrap(), once, "{update:?}");
    }
}

#[test]
fn an_id_and_an_interface_are_set_once_and_a_time_only_where_it_is_another() {
    let before = payment(AUTHORIZED);
    let set = updated(&before, &Update::SetInterfaceId(some("i"))).unwrap();
    for other in [some("j"), None] {
        let refused = updated(&set, &Update::SetInterfaceId(other));
        assert_eq!(refused, Err(UpdateRefusal::AlreadySet("interfaceId")));
    }
    let shown = Update::ChangeTransactionTimestamp { id: id("past-0"), timestamp: at(0) };
    assert_eq!(updated(&before, &shown).unwrap(), before);
}

#[test]
fn a_transaction_that_is_not_there_is_not_updated() {
    let name = id("gone");
    for update in [
        Update::ChangeTransactionState { id: name.clone(), state: Success },
        Update::ChangeTransactionInteractionId { id: name.clone(), interaction_id: "X".to_owned() },
        Update::ChangeTransactionTimestamp { id: name.clone(), timestamp: at(1) },
        Update::SetTransactionInterfaceId { id: name.clone(), interface_id: None },
        Update::AcknowledgeDiscrepancy { id: name.clone() },
    ] {
        let refused = updated(&payment(AUTHORIZED), &update);
        assert_eq!(refused, Err(UpdateRefusal::NoSuchTransaction(name.clone())), "{update:?}");
    }
}

#[test]
fn a_note_is_kept_each_time() {
    let note = Update::AddInterfaceInteraction("{}".to_owned());
    let twice = payment(AUTHORIZED).update(&[note.clone(), note], &reporter(later(), true));
    assert_eq!(twice.unwrap().details.interface_interactions, ["{}", "{}"]);
}

#[test]
fn a_transaction_that_is_given_a_name_keeps_the_effect_that_had_none() {
    let likely = told(&unclear(&payment(AUTHORIZED), "a", 40), report(Charge, Success, 40, ""));
    let name =
        Update::ChangeTransactionInteractionId { id: id("a"), interaction_id: "Y".to_owned() };
    let named = updated(&likely, &name).unwrap();
    assert_eq!(states(&named), [(Charge, Success, 40)]);
    // Or one that has this very name.
    let likely = told(&unclear(&payment(AUTHORIZED), "a", 40), report(Charge, Success, 40, "Y"));
    let named = updated(&likely, &name).unwrap();
    assert_eq!(states(&named), [(Charge, Success, 40)]);
    assert_eq!(named.transactions[&id("a")].likeness, None);
}

#[test]
fn a_state_that_is_reported_by_our_id_is_known() {
    let likely = told(&unclear(&payment(AUTHORIZED), "a", 40), report(Charge, Success, 40, "X"));
    assert!(likely.transactions[&id("a")].likeness.is_some());
    let said = Update::ChangeTransactionState { id: id("a"), state: Success };
    let known = updated(&likely, &said).unwrap();
    assert_eq!(known.transactions[&id("a")].likeness.as_ref().unwrap().known, Success);
    assert!(known.version > likely.version);
}

#[test]
fn every_byte_of_text_counts_and_not_one_too_many_is_kept() {
    let before = payment(AUTHORIZED);
    let room = Payment::TEXT_BYTES_MAX - "past-0".len() - "psp-0".len();
    assert_eq!(Payment::TEXT_BYTES_MAX, 204_800);
    let note = |bytes| Update::AddInterfaceInteraction("x".repeat(bytes));
    assert!(updated(&before, &note(room)).is_ok());
    assert_eq!(updated(&before, &note(room + 1)), Err(UpdateRefusal::TooLarge));
}

#[test]
fn every_text_of_a_new_payment_counts() {
    let long = || Some("x".repeat(Payment::TEXT_BYTES_MAX + 1));
    let rows: [fn(&mut Details) -> &mut Option<String>; 12] = [
        |details| &mut details.key,
        |details| &mut details.interface_id,
        |details| &mut details.payment_interface,
        |details| &mut details.method,
        |details| &mut details.method_name,
        |details| &mut details.status_code,
        |details| &mut details.status_text,
        |details| &mut details.customer,
        |details| &mut details.anonymous_id,
        |details| &mut details.order,
        |details| &mut details.cart,
        |details| &mut details.custom,
    ];
    for (row, text) in rows.into_iter().enumerate() {
        let mut details = Details::default();
        *text(&mut details) = long();
        let registration = Registration {
            key: key("p"),
            amount_planned: eur(100),
            fraction_digits: 2,
            transactions: vec![],
            details,
        };
        let refused = Payment::register(registration, at(0));
        assert_eq!(refused, Err(RegistrationRefusal::TooLarge), "{row}");
    }
}
