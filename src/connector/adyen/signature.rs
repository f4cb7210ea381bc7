//! The signatures of Adyen's standard webhooks, one for each item:
//! <https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures>

use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// The values of an item that its signature covers, in the order of the signed text.
/// Nothing else of the item is signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignedValues<'a> {
    pub(super) psp_reference: &'a str,
    pub(super) original_reference: &'a str,
    pub(super) merchant_account: &'a str,
    pub(super) merchant_reference: &'a str,
    pub(super) value: i64,
    pub(super) currency: &'a str,
    pub(super) event_code: &'a str,
    pub(super) success: &'a str,
}

impl SignedValues<'_> {
    /// True if one of `keys` signed exactly these values. The values are joined by colons
    /// and nothing is escaped. So a colon is refused in all values but one: then the text
    /// can be split in one way only.
    pub(super) fn are_signed(&self, keys: &[Secret], signature: &str) -> bool {
        let others = [
            self.psp_reference,
            self.original_reference,
            self.merchant_account,
            self.currency,
            self.event_code,
            self.success,
        ];
        if others.iter().any(|value| value.contains(':')) {
            return false;
        }
        let Ok(tag) = STANDARD.decode(signature) else { return false };
        let text = self.text();
        // Each is compared in a time that does not depend on where it differs.
        let is_signed_by = |key: &Secret| {
            let key = hex_bytes(key.reveal());
            key.is_some_and(|key| {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
                hmac::verify(&key, text.as_bytes(), &tag).is_ok()
            })
        };
        keys.iter().any(is_signed_by)
    }

    fn text(&self) -> String {
        let value = self.value.to_string();
        [
            self.psp_reference,
            self.original_reference,
            self.merchant_account,
            self.merchant_reference,
            &value,
            self.currency,
            self.event_code,
            self.success,
        ]
        .join(":")
    }
}

/// The bytes of a text in hexadecimal digits.
fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8]| match *pair {
        [high, low] => {
            let value = digit(high)?.checked_mul(16)?.checked_add(digit(low)?)?;
            u8::try_from(value).ok()
        }
        _ => None,
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the tests of Adyen's own client.
    #[test]
    fn the_signed_text_is_the_documented_one() {
        let values = SignedValues {
            psp_reference: "7914073381342284",
            original_reference: "",
            merchant_account: "TestMerchant",
            merchant_reference: "TestPayment-1407325143704",
            value: 1130,
            currency: "EUR",
            event_code: "AUTHORISATION",
            success: "true",
        };
        assert_eq!(
            values.text(),
            "7914073381342284::TestMerchant:TestPayment-1407325143704:1130:EUR:AUTHORISATION:true"
        );
        let key = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
        let keys = [Secret::new(key.to_owned())];
        let signature = "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0=";
        assert!(values.are_signed(&keys, signature));
        assert!(!SignedValues { value: 1131, ..values }.are_signed(&keys, signature));
        assert!(!values.are_signed(&[], signature));
        assert!(!values.are_signed(&[Secret::new("xy".to_owned())], signature));
        for other in ["", "=", &signature[..40], &signature.replace('=', "")] {
            assert!(!values.are_signed(&keys, other), "{other}");
        }
    }

    /// A colon may move a boundary between two values, and the text stays the same.
    #[test]
    fn values_that_could_be_split_otherwise_are_not_signed() {
        let values = SignedValues {
            psp_reference: "A",
            original_reference: "B",
            merchant_account: "Shop",
            merchant_reference: "order:7",
            value: 100,
            currency: "EUR",
            event_code: "REFUND",
            success: "false",
        };
        let key = "00".repeat(32);
        let sign = |values: &SignedValues<'_>| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]);
            STANDARD.encode(hmac::sign(&key, values.text().as_bytes()))
        };
        let keys = [Secret::new(key)];
        assert!(values.are_signed(&keys, &sign(&values)));
        let moved = SignedValues {
            psp_reference: "A:B",
            original_reference: "Shop",
            merchant_account: "order",
            merchant_reference: "7",
            ..values
        };
        assert_eq!(moved.text(), values.text());
        assert!(!moved.are_signed(&keys, &sign(&moved)));
    }
}
