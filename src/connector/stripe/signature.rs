//! The signatures of Stripe's webhooks: <https://docs.stripe.com/webhooks#verify-manually>

use crate::payment::Timestamp;
use crate::secret::Secret;
use ring::hmac;

/// The tolerated age of a signature, and the tolerated advance of its clock.
const TOLERANCE_MS: u64 = 300_000;

/// The highest number of signatures that are read. Stripe sends one for each secret of the
/// endpoint: two for 24 hours after a rotation.
const SIGNATURES_MAX: usize = 8;

/// True if one of `secrets` signed these bytes within the tolerated time. `signature` is the
/// header `Stripe-Signature`.
pub(in crate::connector) fn is_signed(
    secrets: &[Secret],
    signature: &str,
    body: &[u8],
    now: Timestamp,
) -> bool {
    let fields = || signature.split(',').filter_map(|field| field.trim().split_once('='));
    let mut times = fields().filter(|(name, _)| *name == "t").map(|(_, value)| value);
    let (Some(time), None) = (times.next(), times.next()) else { return false };
    let Some(at) = seconds(time) else { return false };
    if at.ms_since(now).max(now.ms_since(at)) > TOLERANCE_MS {
        return false;
    }
    let signed = [time.as_bytes(), b".", body].concat();
    let signatures = fields().filter(|(name, _)| *name == "v1").take(SIGNATURES_MAX);
    let signatures: Vec<_> = signatures.filter_map(|(_, value)| bytes(value)).collect();
    // The comparison takes the same time for each wrong signature.
    secrets.iter().any(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
        signatures.iter().any(|tag| hmac::verify(&key, &signed, tag).is_ok())
    })
}

/// A time in whole seconds, of digits only.
fn seconds(text: &str) -> Option<Timestamp> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: u64 = text.parse().ok().filter(|_| is_number)?;
    seconds.checked_mul(1_000).map(Timestamp::from_ms)
}

/// The bytes of a text in lower-case hexadecimal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'f' => char::from(byte).to_digit(16),
        _ => None,
    };
    let byte = |pair: &[u8]| match *pair {
        [high, low] => {
            let value = digit(high)?.checked_mul(16)?.checked_add(digit(low)?)?;
            u8::try_from(value).ok()
        }
        _ => None,
    };
    text.as_bytes().chunks(2).map(byte).collect()
}
