//! The checks of a request before anything is carried out or saved.

use super::StripeSandbox;
use super::account::Refused;
use super::form::Form;
use http::{HeaderMap, header};

/// The checks that come before the idempotency layer.
pub(super) fn check_head(headers: &HeaderMap) -> Result<(), Refused> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let expected = format!("Bearer {}", StripeSandbox::API_KEY);
    if value(header::AUTHORIZATION.as_str()) != Some(&expected) {
        let message = "Invalid API Key provided.";
        return Err(Refused::new(401, "invalid_request_error", None, message));
    }
    if value("stripe-version").is_none() {
        let message = "This sandbox wants a Stripe-Version.";
        return Err(Refused::new(400, "invalid_request_error", Some("parameter_missing"), message));
    }
    Ok(())
}

/// The parameters of a POST. An error if its endpoint does not have them.
pub(super) fn checked(path: &str, body: &str, key: &str) -> Result<Form, Refused> {
    let (known, required): (&[&str], &[&str]) = match path.trim_start_matches("/v1/") {
        "payment_intents" => (
            &[
                "amount",
                "currency",
                "capture_method",
                "confirm",
                "payment_method",
                "payment_method_types[0]",
                "payment_method_options[card][request_multicapture]",
                "metadata",
            ],
            &["amount", "currency"],
        ),
        "refunds" => (&["payment_intent", "amount", "metadata"], &["payment_intent"]),
        path if path.ends_with("/capture") => {
            (&["amount_to_capture", "final_capture", "metadata"], &[])
        }
        path if path.ends_with("/cancel") => (&[], &[]),
        _ => return Err(unknown_url()),
    };
    if !(1..=255).contains(&key.len()) {
        let message = "This sandbox wants an Idempotency-Key of 1 to 255 characters.";
        return Err(Refused::new(400, "invalid_request_error", Some("parameter_missing"), message));
    }
    let form = Form::read(body, known)?;
    form.require(required)?;
    for name in ["amount", "amount_to_capture"] {
        form.amount(name)?;
    }
    Ok(form)
}

pub(super) fn unknown_url() -> Refused {
    Refused::new(404, "invalid_request_error", Some("url_invalid"), "Unrecognized request URL.")
}
