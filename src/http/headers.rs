//! The headers of a request that are read.

use super::action::RequestedAction;
use super::invalid::Invalid;
use super::options::ResponseForm;
use crate::auth::Denied;
use crate::digest::id_of;
use crate::payment::{Action, PaymentKey, Timestamp, TransactionId};
use crate::secret::Secret;
use http::{HeaderMap, HeaderName, header};
use uuid::{ContextV7, Uuid};

pub(super) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The caller's correlation id, or a new one. An invalid one is replaced, and the request
/// is not refused for it.
pub(super) fn correlation_id(headers: &HeaderMap) -> String {
    given_correlation_id(headers).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

/// The caller's correlation id, if it is valid.
pub(super) fn given_correlation_id(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(CORRELATION_ID).and_then(|value| value.to_str().ok());
    given.filter(|id| (1..=256).contains(&id.len()) && is_visible(id))
}

/// True if the body is JSON. A missing `Content-Type` counts as JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    let suffix = essence.len().checked_sub(5).and_then(|at| essence.get(at..));
    is("application/json")
        || (essence.get(..12).is_some_and(|kind| kind.eq_ignore_ascii_case("application/"))
            && suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json")))
}

/// The caller's bearer token. A repeated `Authorization` header is refused.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<Secret>, Denied> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Denied::InvalidToken("the Authorization header is repeated"));
    }
    let credentials = value.to_str().ok().and_then(|value| value.split_once(' '));
    let token = credentials.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Ok(token.map(|(_, token)| Secret::new(token.trim().to_owned())))
}

/// The caller's preferences (RFC 7240).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Preferences {
    /// The form of the answer, if the caller states one.
    pub(super) form: Option<ResponseForm>,
}

impl Preferences {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        let mut preferences = values.flat_map(|value| value.split(','));
        let form = preferences.find_map(|preference| {
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            let value = value.trim().trim_matches('"');
            match (name.trim().to_ascii_lowercase().as_str(), value) {
                ("return", "representation") => Some(ResponseForm::Outcome),
                ("return", "minimal") => Some(ResponseForm::Empty),
                _ => None,
            }
        });
        Self { form }
    }
}

/// The caller's `Idempotency-Key`. Requests with the same key are the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdempotencyKey(String);

/// Reads the `Idempotency-Key`: bare or as a quoted string, 1 to 255 visible ASCII
/// characters. A repeated header is refused; it arrives as several headers, or as one that
/// is joined by a comma.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Invalid> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or("?");
    let invalid = || Invalid::text("Idempotency-Key", text);
    if values.next().is_some() || value.to_str().is_err() {
        return Err(invalid());
    }
    let key = match text.strip_prefix('"') {
        Some(quoted) => unquoted(quoted).ok_or_else(invalid)?,
        None => text.to_owned(),
    };
    if (1..=255).contains(&key.len()) && is_visible(&key) && !key.contains(',') {
        Ok(Some(IdempotencyKey(key)))
    } else {
        Err(invalid())
    }
}

/// The text of a structured-field string (RFC 8941, 3.3.3) whose opening quote is removed.
fn unquoted(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(text),
            '\\' => text.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            other => text.push(other),
        }
    }
}

impl IdempotencyKey {
    /// The id of the transaction for this key and Payment.
    pub(super) fn transaction_of(&self, payment: &PaymentKey) -> TransactionId {
        id_of(&[payment.project.as_str(), payment.id.as_str(), &self.0]).into()
    }
}

/// The id of the transaction of a request without a key, if requests with the same
/// correlation id and content are the same request.
pub(super) fn transaction_of_repeat(
    payment: &PaymentKey,
    correlation_id: &str,
    requested: &RequestedAction,
) -> TransactionId {
    let RequestedAction { action, merchant_reference } = requested;
    let amount = match action {
        Action::Capture { amount } | Action::Refund { amount, .. } => amount.to_string(),
        Action::Cancel | Action::Reverse => String::new(),
    };
    id_of(&[
        payment.project.as_str(),
        payment.id.as_str(),
        "correlation-id",
        correlation_id,
        action.name(),
        &amount,
        action.charge().map_or("", |charge| charge.as_str()),
        merchant_reference.as_deref().unwrap_or_default(),
    ])
    .into()
}

/// A new id, a UUIDv7. Ids from one context sort in the order of their creation.
pub(super) fn time_ordered(now: Timestamp, context: &ContextV7) -> TransactionId {
    let (seconds, rest) = (now.ms() / 1000, now.ms() % 1000);
    let nanos = u32::try_from(rest).unwrap_or_default().saturating_mul(1_000_000);
    Uuid::new_v7(uuid::Timestamp::from_unix(context, seconds, nanos)).into()
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_key_is_bare_or_quoted_and_only_one() {
        let long = "k".repeat(255);
        let too_long = "k".repeat(256);
        for (values, expected) in [
            (vec![], Ok(None)),
            (vec!["abc-1"], Ok(Some("abc-1"))),
            (vec!["\"abc-1\""], Ok(Some("abc-1"))),
            (vec![r#""a\"b\\c""#], Ok(Some(r#"a"b\c"#))),
            (vec![long.as_str()], Ok(Some(long.as_str()))),
            (vec![too_long.as_str()], Err(())),
            (vec![""], Err(())),
            (vec!["\"\""], Err(())),
            (vec!["\"abc"], Err(())),
            (vec!["\"abc\";a=1"], Err(())),
            (vec!["a b"], Err(())),
            (vec!["a,b"], Err(())),
            (vec!["\"a,b\""], Err(())),
            (vec!["a", "a"], Err(())),
        ] {
            let key = idempotency_key(&headers(IDEMPOTENCY_KEY, &values));
            let key = key.map(|key| key.map(|key| key.0)).map_err(|_| ());
            assert_eq!(key, expected.map(|key| key.map(str::to_owned)), "{values:?}");
        }
    }

    #[test]
    fn the_same_key_is_another_transaction_elsewhere() {
        let key = IdempotencyKey("k".to_owned());
        let payment = |project, id| PaymentKey {
            project: crate::payment::ProjectKey::parse(project).unwrap(),
            id: crate::payment::PaymentId::parse(id).unwrap(),
        };
        let id = key.transaction_of(&payment("demo", "p"));
        assert_eq!(id, key.transaction_of(&payment("demo", "p")));
        assert_ne!(id, key.transaction_of(&payment("demo", "q")));
        assert_ne!(id, key.transaction_of(&payment("demo2", "p")));
        assert_ne!(id, IdempotencyKey("l".to_owned()).transaction_of(&payment("demo", "p")));
    }

    #[test]
    fn other_types_than_json_are_told_apart() {
        for (value, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/vnd.api+json", true),
            ("text/json", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("+json", false),
            ("", false),
        ] {
            assert_eq!(is_json(&headers(header::CONTENT_TYPE, &[value])), expected, "{value:?}");
        }
        assert!(is_json(&HeaderMap::new()));
    }

    #[test]
    fn preferences_are_found_among_others() {
        for (values, expected) in [
            (vec![], None),
            (vec!["return=representation"], Some(ResponseForm::Outcome)),
            (vec!["return=minimal"], Some(ResponseForm::Empty)),
            (vec!["respond-async, RETURN=\"representation\"; x=1"], Some(ResponseForm::Outcome)),
            (vec!["wait=5", "return=minimal"], Some(ResponseForm::Empty)),
            (vec!["return=everything"], None),
        ] {
            assert_eq!(Preferences::read(&headers(PREFER, &values)).form, expected, "{values:?}");
        }
    }
}
