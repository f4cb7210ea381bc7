//! The query of `GET /{projectKey}/payments`. One predicate is supported, by which
//! connectors find a Payment by the id in a message of the PSP.

use super::problem::Problem;
use crate::ports::Name;
use lambda_http::aws_lambda_events::query_map::QueryMap;

/// Reads `where=interfaceId="…"`. Other parameters, such as a limit or an order, are
/// ignored: they do not change a page with at most one result.
pub(super) fn read(parameters: Option<&QueryMap>) -> Result<Name, Problem> {
    let predicates = parameters.and_then(|parameters| parameters.all("where")).unwrap_or_default();
    let predicate = predicates.first().copied().unwrap_or_default();
    match (interface_id(predicate), predicates.len()) {
        (Some(id), 1) => Ok(Name::InterfaceId(id.to_owned())),
        _ => Err(Problem::unknown_predicate(predicate)),
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
            let parameters: QueryMap = query.parse().unwrap();
            assert_eq!(read(Some(&parameters)).ok(), expected, "{query}");
        }
    }
}
