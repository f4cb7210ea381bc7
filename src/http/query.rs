//! The query of `GET /{projectKey}/payments`: the one predicate that connectors need
//! when a PSP tells them something about a Payment by its own id.

use super::problem::Problem;
use crate::ports::Name;
use percent_encoding::percent_decode_str;

/// Reads `where=interfaceId="…"`. What else is asked of a page (a limit, a sort) makes
/// no difference to a page of one.
pub(super) fn read(query: &str) -> Result<Name, Problem> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let parameters = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut predicates = parameters.filter(|(name, _)| *name == "where");
    let predicate = predicates.next().map(|(_, value)| decoded(value)).unwrap_or_default();
    match (interface_id(&predicate), predicates.next()) {
        (Some(id), None) => Ok(Name::InterfaceId(id.to_owned())),
        _ => Err(Problem::unknown_predicate(&predicate)),
    }
}

fn interface_id(predicate: &str) -> Option<&str> {
    let value = predicate.trim().strip_prefix("interfaceId")?.trim_start().strip_prefix('=')?;
    let id = value.trim_start().strip_prefix('"')?.strip_suffix('"')?;
    (!id.is_empty() && !id.contains(['"', '\\'])).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_predicate_is_understood() {
        for (query, expected) in [
            ("where=interfaceId%3D%22PSP-1%22", Some("PSP-1")),
            ("where=interfaceId+%3D+%22PSP+1%22&limit=1", Some("PSP 1")),
            ("limit=1&where=interfaceId=%22a%22", Some("a")),
            ("where=interfaceId%3D%22%22", None),
            ("where=interfaceId%3D%22a%22+or+key%3D%22b%22", None),
            ("where=interfaceId%3D%22a%22&where=key%3D%22b%22", None),
            ("where=key%3D%22a%22", None),
            ("limit=1", None),
            ("", None),
        ] {
            let expected = expected.map(|id| Name::InterfaceId(id.to_owned()));
            assert_eq!(read(query).ok(), expected, "{query}");
        }
    }
}
