use std::collections::BTreeMap;

/// The name under which the settings for all other payment interfaces are kept.
const OTHERS: &str = "*";

/// The accounts at PSPs that this service calls directly, by payment interface. They are
/// recorded with each reservation, because a reservation is written without a read of the
/// Payment, whose payment interface selects one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectPsps(BTreeMap<String, String>);

impl DirectPsps {
    /// The accounts by payment interface. `*` is for all interfaces without an entry; an empty
    /// name stands for a connector over HTTP.
    pub fn new(mut by_interface: BTreeMap<String, String>) -> Self {
        // Connectors are kept only beside a PSP that would be called for their interfaces.
        let is_psp_of_others = by_interface.get(OTHERS).is_some_and(|psp| !psp.is_empty());
        by_interface.retain(|_, psp| is_psp_of_others || !psp.is_empty());
        Self(by_interface)
    }

    /// The account that is called for a Payment with this payment interface; `None` if it is a
    /// connector over HTTP.
    pub fn psp_of(&self, payment_interface: Option<&str>) -> Option<&str> {
        let named = payment_interface.and_then(|interface| self.0.get(interface));
        let psp = named.or_else(|| self.0.get(OTHERS))?;
        Some(psp.as_str()).filter(|psp| !psp.is_empty())
    }

    /// The names, as they are recorded. Empty if no PSP is called directly.
    pub fn by_interface(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payment_interface_selects_the_psp() {
        let psps = |entries: &[(&str, &str)]| {
            let entry = |(name, psp): &(&str, &str)| ((*name).to_owned(), (*psp).to_owned());
            DirectPsps::new(entries.iter().map(entry).collect())
        };
        for (entries, interface, expected) in [
            (&[("a", "stripe")][..], Some("a"), Some("stripe")),
            (&[("a", "stripe")], Some("b"), None),
            (&[("a", "stripe")], None, None),
            (&[("*", "stripe"), ("b", "")], Some("a"), Some("stripe")),
            (&[("*", "stripe"), ("b", "")], Some("b"), None),
            (&[("*", "stripe")], None, Some("stripe")),
            (&[("a", ""), ("*", "")], Some("a"), None),
        ] {
            assert_eq!(psps(entries).psp_of(interface), expected, "{entries:?} {interface:?}");
        }
        assert_eq!(psps(&[("a", ""), ("*", "")]), DirectPsps::default());
    }
}
