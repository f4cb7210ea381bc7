//! The reason that a connector gives for a rejection, as far as it is safe to store and to
//! show.

/// The connector's reason for rejecting a transaction. It is short, and has no control
/// characters, no number that could be a card's, and no word that could be a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RejectionReason {
    code: Option<String>,
    text: Option<String>,
}

impl RejectionReason {
    /// The highest number of bytes of a code.
    pub const CODE_BYTES_MAX: usize = 64;

    /// The highest number of bytes of a text.
    pub const TEXT_BYTES_MAX: usize = 256;

    /// The smallest number of digits of a card number.
    const CARD_DIGITS_MIN: usize = 12;

    /// The longest word that is shown. Tokens, keys and signatures are longer.
    const WORD_CHARS_MAX: usize = 32;

    /// The replacement of what is not shown.
    const MASK: &str = "****";

    /// The safe part of a code and a text; `None` if nothing is left of both. What is left
    /// is its own safe part, so that it can be stored and read again.
    pub fn new(code: Option<&str>, text: Option<&str>) -> Option<Self> {
        let code = code.map(str::trim).filter(|code| Self::is_code(code)).map(str::to_owned);
        let text = text.map(Self::safe_text).filter(|text| !text.is_empty());
        (code.is_some() || text.is_some()).then_some(Self { code, text })
    }

    /// The PSP's code: letters, digits and `_ - . :`.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The PSP's reason in words.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The number of bytes of both.
    pub(super) fn bytes(&self) -> usize {
        let length = |part: &Option<String>| part.as_ref().map_or(0, String::len);
        length(&self.code).saturating_add(length(&self.text))
    }

    /// True for a code that is safe. One with another character, or with a long number, is
    /// no code.
    fn is_code(code: &str) -> bool {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        (1..=Self::CODE_BYTES_MAX).contains(&code.len())
            && code.chars().all(is_allowed)
            && Self::without_card_numbers(code) == code
    }

    fn safe_text(text: &str) -> String {
        let visible: String =
            text.chars().filter(|c| c.is_whitespace() || !is_invisible(*c)).collect();
        let words: Vec<_> = visible.split_whitespace().collect();
        let numbers_masked = Self::without_card_numbers(&words.join(" "));
        let words: Vec<_> = numbers_masked.split(' ').map(Self::safe_word).collect();
        let safe = words.join(" ");
        let end = safe.floor_char_boundary(Self::TEXT_BYTES_MAX);
        safe.get(..end).unwrap_or_default().trim_end().to_owned()
    }

    /// The word, or the mask for one that could be a token, a key, an address of a person,
    /// or a URL with credentials.
    fn safe_word(word: &str) -> &str {
        let is_address = word.contains('@') || word.contains("://");
        let is_long = word.chars().count() > Self::WORD_CHARS_MAX;
        if is_address || is_long { Self::MASK } else { word }
    }

    /// The text with each long number masked. Its digits may be in groups, with one
    /// separator between two of them.
    fn without_card_numbers(text: &str) -> String {
        let (mut masked, mut run) = (String::with_capacity(text.len()), Run::default());
        for c in text.chars() {
            if !run.takes(c) {
                run.end(&mut masked);
                masked.push(c);
            }
        }
        run.end(&mut masked);
        masked
    }
}

/// True for control characters, and for characters that are not seen or that change the
/// direction of others.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A number in a text, with the separators between its digits.
#[derive(Default)]
struct Run {
    text: String,
    digits: usize,
    is_after_separator: bool,
}

impl Run {
    /// Adds the character, if the number goes on with it.
    fn takes(&mut self, c: char) -> bool {
        let is_digit = c.is_numeric();
        let is_separator = matches!(c, ' ' | '-' | '.' | '/' | '_' | ':');
        if !is_digit && (!is_separator || self.digits == 0 || self.is_after_separator) {
            return false;
        }
        self.digits = self.digits.saturating_add(usize::from(is_digit));
        self.is_after_separator = !is_digit;
        self.text.push(c);
        true
    }

    /// Writes the number, or the mask for it, and begins the next one.
    fn end(&mut self, to: &mut String) {
        let Self { text, digits, .. } = std::mem::take(self);
        if digits < RejectionReason::CARD_DIGITS_MIN {
            to.push_str(&text);
            return;
        }
        to.push_str(RejectionReason::MASK);
        let separator = text.chars().next_back().filter(|last| !last.is_numeric());
        to.extend(separator);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(given: &str) -> Option<String> {
        RejectionReason::new(None, Some(given))?.text
    }

    #[test]
    fn a_reason_is_shown_without_what_could_be_a_card_number_or_a_secret() {
        for (given, expected) in [
            ("Insufficient funds", "Insufficient funds"),
            ("  not \t this\r\ncard\u{0}\u{1b}[31m ", "not this card[31m"),
            ("card 4111111111111111 declined", "card **** declined"),
            ("card 4111 1111 1111 1111 declined", "card **** declined"),
            ("card 3714-496353-98431.", "card ****."),
            ("4111\u{200b}1111\u{a0}1111\n1111", "****"),
            ("card １２３４５６７８９０１２３４５６", "card ****"),
            ("41111111111x", "41111111111x"),
            ("411111111111", "****"),
            ("7000 is more than 6000", "7000 is more than 6000"),
            ("at 2026-11-27", "at 2026-11-27"),
            ("pi_3MtwBwLkdIwHu7ix28a3tqPa failed", "pi_3MtwBwLkdIwHu7ix28a3tqPa failed"),
            ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x is bad", "token **** is bad"),
            ("ask jane@example.com", "ask ****"),
            ("see https://user:word@psp.example", "see ****"),
            ("Zu wenig Guthaben für 5 €", "Zu wenig Guthaben für 5 €"),
        ] {
            assert_eq!(text(given).as_deref(), Some(expected), "{given:?}");
        }
        for nothing in ["", "  ", "\u{0}\u{7f}\u{202e}"] {
            assert_eq!(RejectionReason::new(Some(nothing), Some(nothing)), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_code_is_a_short_word_or_nothing() {
        let code = |given| RejectionReason::new(Some(given), None).and_then(|reason| reason.code);
        let longest = "x".repeat(RejectionReason::CODE_BYTES_MAX);
        for given in ["2", "do_not_honor", "GEN-05", "a.b:c", &longest] {
            assert_eq!(code(given).as_deref(), Some(given));
        }
        let too_long = format!("{longest}x");
        for given in ["", "no money", "é", "4111111111111111", "a\nb", &too_long] {
            assert_eq!(code(given), None, "{given:?}");
        }
    }

    #[test]
    fn a_text_is_cut_between_two_characters() {
        let cut = text(&"déjà ".repeat(60)).unwrap();
        assert!((250..=RejectionReason::TEXT_BYTES_MAX).contains(&cut.len()), "{}", cut.len());
        assert!("déjà ".repeat(60).starts_with(&cut), "{cut}");
    }

    proptest! {
        /// So what is read from the store is what was written.
        #[test]
        fn a_reason_is_its_own_safe_part(
            code in "\\PC{0,70}|[0-9._:-]{0,20}",
            text in "(\\PC|[0-9 .-]|\\s|[a-z]){0,300}",
        ) {
            let Some(reason) = RejectionReason::new(Some(&code), Some(&text)) else { return Ok(()) };
            let (code, text) = (reason.code(), reason.text());
            prop_assert!(text.is_none_or(|text| text.len() <= RejectionReason::TEXT_BYTES_MAX));
            for part in [code, text].into_iter().flatten() {
                let is_other = |c: char| !c.is_ascii_digit();
                prop_assert!(part.split(is_other).all(|number| number.len() < 12), "{}", part);
                prop_assert!(!part.contains(char::is_control));
            }
            prop_assert_eq!(RejectionReason::new(code, text), Some(reason.clone()));
        }
    }
}
