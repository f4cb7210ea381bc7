//! Amounts in the units of a PSP, where those differ from ISO 4217.

use crate::error::BoxError;
use crate::money::{Currency, Money};

/// The amount in Stripe's units. An error if Stripe has no unit for it, or does not document
/// its unit.
pub(super) fn to_stripe(amount: Money, fraction_digits: u8) -> Result<u64, BoxError> {
    let digits = stripe_digits(amount.currency()).ok_or("Stripe's unit of the currency is open")?;
    let converted = rescaled(amount.minor_units(), fraction_digits, digits);
    converted.ok_or_else(|| "Stripe has no unit for the fraction of the amount".into())
}

/// The amount of a Payment with this number of digits after the decimal point, from
/// Stripe's amount and currency, which is in lower case.
pub(super) fn from_stripe(
    amount: u64,
    currency: &str,
    fraction_digits: u8,
) -> Result<Money, BoxError> {
    let currency = Currency::parse(&currency.to_ascii_uppercase()).ok_or("no such currency")?;
    let digits = stripe_digits(currency).ok_or("Stripe's unit of the currency is open")?;
    let converted = rescaled(amount, digits, fraction_digits);
    Ok(Money::new(converted.ok_or("a fraction that the currency does not have")?, currency)?)
}

/// The number of digits after the decimal point in Stripe's amounts:
/// <https://docs.stripe.com/currencies#zero-decimal>, `#three-decimal` and
/// `#special-cases`. `None` for UGX, which is on the list without decimals and among the
/// special cases with two, and for a currency of no list that has other than two digits in
/// ISO 4217.
fn stripe_digits(currency: Currency) -> Option<u8> {
    match currency.code() {
        "BIF" | "CLP" | "DJF" | "GNF" | "JPY" | "KMF" | "KRW" | "MGA" | "PYG" | "RWF" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => Some(0),
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" => Some(3),
        "ISK" => Some(2),
        "UGX" => None,
        _ => currency.fraction_digits().filter(|digits| *digits == 2),
    }
}

/// The amount as Adyen counts it. Refused where Adyen cannot express it exactly.
pub(super) fn to_adyen(amount: Money, fraction_digits: u8) -> Result<u64, BoxError> {
    let digits = adyen_digits(amount.currency()).ok_or("Adyen has no unit for the currency")?;
    let converted = rescaled(amount.minor_units(), fraction_digits, digits);
    converted.ok_or_else(|| "Adyen has no unit for the fraction of the amount".into())
}

/// The amount of a Payment whose amounts have so many digits, from Adyen's.
pub(super) fn from_adyen(
    amount: u64,
    currency: &str,
    fraction_digits: u8,
) -> Result<Money, BoxError> {
    let currency = Currency::parse(currency).ok_or("no such currency")?;
    let digits = adyen_digits(currency).ok_or("Adyen has no unit for the currency")?;
    let converted = rescaled(amount, digits, fraction_digits);
    Ok(Money::new(converted.ok_or("a fraction that the currency does not have")?, currency)?)
}

/// The number of digits after the decimal point in Adyen's amounts:
/// <https://docs.adyen.com/development-resources/currency-codes>. Four currencies of that
/// table "differ from standard"; the others are counted as in ISO 4217.
fn adyen_digits(currency: Currency) -> Option<u8> {
    match currency.code() {
        "CLP" | "ISK" => Some(2),
        "CVE" | "IDR" => Some(0),
        _ => currency.fraction_digits(),
    }
}

/// The same amount with another number of digits; `None` if it would be a fraction.
fn rescaled(amount: u64, from: u8, to: u8) -> Option<u64> {
    if let Some(more) = to.checked_sub(from) {
        return amount.checked_mul(10_u64.checked_pow(more.into())?);
    }
    let divisor = 10_u64.checked_pow(from.checked_sub(to)?.into())?;
    let is_exact = amount.checked_rem(divisor) == Some(0);
    amount.checked_div(divisor).filter(|_| is_exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_amounts_are_ours_but_for_three_currencies() {
        for (code, ours, digits, theirs) in [
            ("EUR", 4_000, 2, Some(4_000)),
            ("JPY", 5, 0, Some(5)),
            ("KWD", 5_120, 3, Some(5_120)),
            ("ISK", 5, 0, Some(500)),
            ("MGA", 500, 2, Some(5)),
            ("MGA", 501, 2, None),
            ("UGX", 5, 0, None),
            ("IQD", 5, 3, None),
            ("CLF", 5, 4, None),
            // The digits of the Payment's registration count.
            ("EUR", 40_000, 3, Some(4_000)),
            ("EUR", 40_001, 3, None),
        ] {
            let currency = Currency::parse(code).unwrap();
            let amount = Money::new(ours, currency).unwrap();
            assert_eq!(to_stripe(amount, digits).ok(), theirs, "{code}");
            if let Some(theirs) = theirs {
                let back = from_stripe(theirs, &code.to_ascii_lowercase(), digits).unwrap();
                assert_eq!(back, amount);
            }
        }
    }

    #[test]
    fn adyens_amounts_are_ours_but_for_four_currencies() {
        for (code, ours, digits, theirs) in [
            ("EUR", 4_000, 2, Some(4_000)),
            ("JPY", 5, 0, Some(5)),
            ("KWD", 5_120, 3, Some(5_120)),
            ("UGX", 5, 0, Some(5)),
            ("CLP", 5, 0, Some(500)),
            ("ISK", 5, 0, Some(500)),
            ("CVE", 500, 2, Some(5)),
            ("CVE", 501, 2, None),
            ("IDR", 1_000_000, 2, Some(10_000)),
            ("IDR", 1_000_050, 2, None),
            ("XXX", 5, 2, None),
            // As it was when the Payment was registered.
            ("EUR", 40_000, 3, Some(4_000)),
            ("EUR", 40_001, 3, None),
        ] {
            let amount = Money::new(ours, Currency::parse(code).unwrap()).unwrap();
            assert_eq!(to_adyen(amount, digits).ok(), theirs, "{code}");
            if let Some(theirs) = theirs {
                assert_eq!(from_adyen(theirs, code, digits).unwrap(), amount);
            }
        }
        assert!(from_adyen(501, "ISK", 0).is_err());
        assert!(from_adyen(5, "XXX", 2).is_err());
        assert!(from_adyen(5, "eur", 2).is_err());
        assert!(from_adyen(u64::MAX, "IDR", 2).is_err());
    }

    #[test]
    fn a_fraction_that_the_currency_does_not_have_is_refused() {
        assert!(from_stripe(501, "isk", 0).is_err());
        assert!(from_stripe(5, "xxx", 0).is_err());
        assert!(from_stripe(u64::MAX, "eur", 2).is_err());
        assert!(from_stripe(u64::MAX, "mga", 2).is_err());
    }
}
