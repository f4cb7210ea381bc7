//! Exact amounts of money, without rounding, wrapping or conversion.

use std::fmt;

/// A currency code as ISO 4217 spells it: three upper-case letters.
///
/// A code that ISO does not list can be parsed, but no Payment is registered in it: see
/// [`Currency::fraction_digits`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads a code. `None` if it does not match `^[A-Z]{3}$`.
    pub fn parse(code: &str) -> Option<Self> {
        let letters: [u8; 3] = code.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The number of digits after the decimal point (0, 2, 3 or 4), from the list
    /// of ISO 4217. `None` for a code that is not listed, was withdrawn, or has
    /// no minor unit (gold, test codes).
    pub fn fraction_digits(self) -> Option<u8> {
        let listed = iso_currency::Currency::from_code(self.code())?;
        if listed.is_superseded().is_some() || listed.is_special() {
            return None;
        }
        listed.exponent().and_then(|digits| u8::try_from(digits).ok())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An exact amount in the minor unit of one currency (5 JPY is `5`, 5 CHF is
/// `500`). Never negative, never a fraction, and never combined with another
/// currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    minor_units: u64,
    currency: Currency,
}

impl Money {
    /// The largest amount, 2^53 - 1. JSON readers that use doubles lose precision above it.
    pub const MINOR_UNITS_MAX: u64 = (1 << 53) - 1;

    /// An amount from 0 to [`Self::MINOR_UNITS_MAX`] minor units.
    pub fn new(minor_units: u64, currency: Currency) -> Result<Self, MoneyError> {
        if minor_units > Self::MINOR_UNITS_MAX {
            return Err(MoneyError::TooLarge);
        }
        Ok(Self { minor_units, currency })
    }

    /// Zero in that currency.
    pub fn zero(currency: Currency) -> Self {
        Self { minor_units: 0, currency }
    }

    /// The count of minor units.
    pub fn minor_units(self) -> u64 {
        self.minor_units
    }

    /// The currency that the count is in.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// True if it is zero.
    pub fn is_zero(self) -> bool {
        self.minor_units == 0
    }

    /// The difference after subtracting `amount`. More than there is, or another currency,
    /// is refused.
    pub fn take(self, amount: Self) -> Result<Self, MoneyError> {
        self.matches(amount)?;
        match self.minor_units.checked_sub(amount.minor_units) {
            Some(minor_units) => Ok(Self { minor_units, ..self }),
            None => Err(MoneyError::Exceeds { available: self, asked: amount }),
        }
    }

    /// Subtracts `amount`, down to zero and no further. Another currency is refused.
    pub fn take_at_most(self, amount: Self) -> Result<Self, MoneyError> {
        self.matches(amount)?;
        Ok(Self { minor_units: self.minor_units.saturating_sub(amount.minor_units), ..self })
    }

    /// The sum of both. Another currency, or a sum above
    /// [`Self::MINOR_UNITS_MAX`], is refused.
    pub fn give(self, amount: Self) -> Result<Self, MoneyError> {
        self.matches(amount)?;
        let sum = self.minor_units.checked_add(amount.minor_units).ok_or(MoneyError::TooLarge)?;
        Self::new(sum, self.currency)
    }

    fn matches(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(MoneyError::OtherCurrency { expected: self.currency, found: other.currency })
    }
}

/// The count of minor units and the currency code: `4000 EUR`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.minor_units, self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The reasons to refuse an amount, a sum or a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The amount would be above [`Money::MINOR_UNITS_MAX`].
    #[error("the amount is larger than {max} minor units", max = Money::MINOR_UNITS_MAX)]
    TooLarge,
    /// More was asked for than is available.
    #[error("{asked} asked, {available} available")]
    Exceeds {
        /// The available amount.
        available: Money,
        /// The amount asked for.
        asked: Money,
    },
    /// The two amounts have different currencies.
    #[error("an amount in {found} where {expected} is expected")]
    OtherCurrency {
        /// The currency of the amount acted on.
        expected: Currency,
        /// The currency of the amount given.
        found: Currency,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor_units: u64, code: &str) -> Money {
        Money::new(minor_units, Currency::parse(code).unwrap()).unwrap()
    }

    #[test]
    fn a_currency_is_three_upper_case_letters() {
        for (code, valid) in [
            ("EUR", true),
            ("QQQ", true),
            ("eur", false),
            ("EU", false),
            ("EURO", false),
            ("E1R", false),
            ("", false),
            ("ÄR", false),
        ] {
            assert_eq!(Currency::parse(code).is_some(), valid, "{code:?}");
        }
    }

    #[test]
    fn minor_unit_digits_are_those_of_iso_4217() {
        for (code, digits) in [
            ("EUR", Some(2)),
            ("USD", Some(2)),
            ("JPY", Some(0)),
            ("KRW", Some(0)),
            ("BHD", Some(3)),
            ("KWD", Some(3)),
            ("TND", Some(3)),
            ("CLF", Some(4)),
            ("UYW", Some(4)),
            ("CHF", Some(2)),
            ("SLE", Some(2)),
            ("ISK", Some(0)),
            // Withdrawn, not money, not listed:
            ("HRK", None),
            ("XAU", None),
            ("XXX", None),
            ("QQQ", None),
        ] {
            assert_eq!(Currency::parse(code).unwrap().fraction_digits(), digits, "{code}");
        }
    }

    #[test]
    fn taking_is_the_check() {
        for (available, asked, expected) in [
            (money(100, "EUR"), money(0, "EUR"), Ok(money(100, "EUR"))),
            (money(100, "EUR"), money(99, "EUR"), Ok(money(1, "EUR"))),
            (money(100, "EUR"), money(100, "EUR"), Ok(money(0, "EUR"))),
            (
                money(100, "EUR"),
                money(101, "EUR"),
                Err(MoneyError::Exceeds { available: money(100, "EUR"), asked: money(101, "EUR") }),
            ),
            (
                money(100, "EUR"),
                money(1, "USD"),
                Err(MoneyError::OtherCurrency {
                    expected: Currency(*b"EUR"),
                    found: Currency(*b"USD"),
                }),
            ),
        ] {
            assert_eq!(available.take(asked), expected, "{available} take {asked}");
        }
    }

    #[test]
    fn an_amount_reads_as_its_count_and_its_currency() {
        for text in [money(4000, "EUR").to_string(), format!("{:?}", money(4000, "EUR"))] {
            assert_eq!(text, "4000 EUR");
        }
        let currency = money(5, "JPY").currency();
        assert_eq!((currency.to_string(), format!("{currency:?}")), ("JPY".into(), "JPY".into()));
    }

    #[test]
    fn taking_at_most_goes_down_to_zero_and_no_further() {
        for (available, asked, left) in [(100, 99, 1), (100, 100, 0), (100, 101, 0)] {
            let left = money(left, "EUR");
            assert_eq!(money(available, "EUR").take_at_most(money(asked, "EUR")), Ok(left));
        }
        let other = money(100, "EUR").take_at_most(money(1, "USD"));
        assert!(matches!(other, Err(MoneyError::OtherCurrency { .. })));
    }

    #[test]
    fn nothing_grows_past_what_a_double_can_hold() {
        assert_eq!(Money::MINOR_UNITS_MAX, 9_007_199_254_740_991);
        let most = money(Money::MINOR_UNITS_MAX, "EUR");
        assert_eq!(
            Money::new(Money::MINOR_UNITS_MAX + 1, most.currency()),
            Err(MoneyError::TooLarge)
        );
        assert_eq!(most.give(money(1, "EUR")), Err(MoneyError::TooLarge));
        assert_eq!(most.give(money(0, "EUR")), Ok(most));
        assert!(matches!(most.give(money(0, "USD")), Err(MoneyError::OtherCurrency { .. })));
    }
}
