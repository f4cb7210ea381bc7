//! Identifiers and times. Each type accepts only valid values.

use std::fmt;

/// The key of a project: 2 to 36 of `a-z 0-9 _ -`, so that the `#` of a storage
/// key cannot be forged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectKey(String);

impl ProjectKey {
    /// Reads a project key.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if (2..=36).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId)
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of a Payment within its project: 1 to 256 characters, and not a dot segment.
/// Control characters and the characters `/ \\ % ? #` are refused: some gateways decode
/// a path before they pass it on, and an id that is decoded twice could then name
/// another Payment. An id does not begin with `key=`, which names a Payment by its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentId(String);

impl PaymentId {
    /// The prefix by which a path names a Payment by its key.
    pub const KEY_PREFIX: &str = "key=";

    /// Reads a Payment id.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let length = text.chars().count();
        let foreign = |c: char| c.is_control() || matches!(c, '/' | '\\' | '%' | '?' | '#');
        let is_key = text.starts_with(Self::KEY_PREFIX);
        let is_segment = !text.contains(foreign) && text != "." && text != "..";
        if (1..=256).contains(&length) && is_segment && !is_key {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId)
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The project and id of a Payment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentKey {
    /// The project that owns it.
    pub project: ProjectKey,
    /// Its id within the project.
    pub id: PaymentId,
}

impl fmt::Display for PaymentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.project.as_str(), self.id.as_str())
    }
}

/// The id of a transaction: 1 to 256 characters without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(String);

impl TransactionId {
    /// Reads a transaction id.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if (1..=256).contains(&text.chars().count()) && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId)
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<uuid::Uuid> for TransactionId {
    fn from(id: uuid::Uuid) -> Self {
        Self(id.to_string())
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A random number for each attempt. By it, a writer recognises its own write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(u128);

impl Nonce {
    /// A nonce from 128 random bits.
    pub fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// The bits.
    pub fn bits(self) -> u128 {
        self.0
    }
}

/// A time in milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub(crate) const EPOCH: Self = Self(0);

    /// The end of the year 9999, the latest time that RFC 3339 can write.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The time at `ms`, at most [`Self::MAX`].
    pub fn from_ms(ms: u64) -> Self {
        Self(ms.min(Self::MAX.0))
    }

    /// Milliseconds since the Unix epoch.
    pub fn ms(self) -> u64 {
        self.0
    }

    /// The time `ms` milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self::from_ms(self.0.saturating_add(ms))
    }

    /// The time `ms` milliseconds earlier.
    #[must_use]
    pub fn minus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }

    /// The milliseconds from `earlier` to this time; 0 if `earlier` is later.
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The error for an id with invalid characters or an invalid length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct InvalidId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_key_cannot_forge_a_storage_key() {
        for (text, valid) in [
            ("demo", true),
            ("a1", true),
            ("my_project-2", true),
            (&"a".repeat(36), true),
            (&"a".repeat(37), false),
            ("a", false),
            ("", false),
            ("Demo", false),
            ("a#b", false),
            ("a b", false),
            ("..", false),
        ] {
            assert_eq!(ProjectKey::parse(text).is_ok(), valid, "{text:?}");
        }
    }

    #[test]
    fn a_payment_id_is_one_path_segment() {
        for (text, valid) in [
            ("11111111-1111-4111-8111-111111111111", true),
            ("a+b c&d=e", true),
            ("a#b", false),
            ("a?b", false),
            ("key=a", false),
            ("a%20b", false),
            ("ü", true),
            (&"ü".repeat(256), true),
            (&"ü".repeat(257), false),
            ("", false),
            (".", false),
            ("..", false),
            ("a/b", false),
            ("a\\b", false),
            ("a\u{0}b", false),
            ("a\nb", false),
            ("a\u{85}b", false),
        ] {
            assert_eq!(PaymentId::parse(text).is_ok(), valid, "{text:?}");
        }
    }

    #[test]
    fn a_transaction_id_is_1_to_256_characters_without_control_characters() {
        for (text, valid) in [
            ("a", true),
            ("a/b#c", true),
            (&"ü".repeat(256), true),
            (&"ü".repeat(257), false),
            ("", false),
            ("a\nb", false),
            ("a\u{85}b", false),
        ] {
            assert_eq!(TransactionId::parse(text).is_ok(), valid, "{text:?}");
        }
    }

    #[test]
    fn a_name_reads_as_it_was_given() {
        let key = PaymentKey {
            project: ProjectKey::parse("demo").unwrap(),
            id: PaymentId::parse("p-1").unwrap(),
        };
        assert_eq!((key.project.as_str(), key.id.as_str()), ("demo", "p-1"));
        assert_eq!(key.to_string(), "demo#p-1");
        let id = TransactionId::parse("t-1").unwrap();
        assert_eq!((id.as_str(), id.to_string()), ("t-1", "t-1".to_owned()));
        let uuid = uuid::Uuid::from_u128(7);
        assert_eq!(TransactionId::from(uuid).as_str(), "00000000-0000-0000-0000-000000000007");
        assert_eq!(Nonce::new(7).bits(), 7);
    }

    #[test]
    fn a_moment_lies_between_the_epoch_and_the_year_10000() {
        let moment = Timestamp::from_ms(1_000);
        assert_eq!((moment.plus_ms(5).ms(), moment.minus_ms(5).ms()), (1_005, 995));
        assert_eq!(moment.minus_ms(1_001).ms(), 0);
        for late in [Timestamp::from_ms(u64::MAX), moment.plus_ms(u64::MAX)] {
            assert_eq!(late, Timestamp::MAX);
        }
        let later = Timestamp::from_ms(1_250);
        assert_eq!((later.ms_since(moment), moment.ms_since(later)), (250, 0));
    }
}
