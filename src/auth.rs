//! Who may do what: a caller's scopes, and whether one of them names the
//! project of the path.

use crate::payment::ProjectKey;

/// How callers are authorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Not at all. Only the local server has this.
    Off,
    /// An authorizer in front of the function verified the token; its claims
    /// come with the event.
    Gateway,
}

/// The scopes that a verified token grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// Reads a space-separated list, as OAuth 2.0 writes it (RFC 6749, 3.3).
    pub fn parse(text: &str) -> Self {
        Self(text.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect())
    }

    /// Adds the scopes of another list.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether one of `names` is granted for `project`: `{name}:{project}`.
    fn grant_any(&self, names: &[&str], project: &ProjectKey) -> bool {
        self.0
            .iter()
            .filter_map(|scope| scope.split_once(':'))
            .any(|(name, granted)| names.contains(&name) && granted == project.as_str())
    }
}

impl Auth {
    /// Says whether a caller with these scopes (`None`: there is no verified
    /// token) may do what needs one of the scopes `names` in `project`.
    pub fn authorize(
        self,
        scopes: Option<&Scopes>,
        names: &'static [&'static str],
        project: &ProjectKey,
    ) -> Result<(), Denied> {
        match (self, scopes) {
            (Self::Off, _) => Ok(()),
            (Self::Gateway, None) => Err(Denied::NoToken),
            (Self::Gateway, Some(scopes)) if scopes.grant_any(names, project) => Ok(()),
            (Self::Gateway, Some(_)) => Err(Denied::MissingScope(names)),
        }
    }
}

/// Why a caller may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is no token, or nobody verified it.
    #[error("no verified token")]
    NoToken,
    /// The token grants none of these for the project.
    #[error("none of the scopes {0:?}")]
    MissingScope(&'static [&'static str]),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_counts_for_its_own_project_only() {
        let project = ProjectKey::parse("demo").unwrap();
        const NAMES: &[&str] = &["manage_payments", "manage_project"];
        for (scopes, expected) in [
            (Some("manage_payments:demo"), Ok(())),
            (Some("view_products:demo  manage_project:demo"), Ok(())),
            (Some("manage_payments:other"), Err(Denied::MissingScope(NAMES))),
            (Some("manage_payments:demo2"), Err(Denied::MissingScope(NAMES))),
            (Some("manage_payments"), Err(Denied::MissingScope(NAMES))),
            (Some("view_payments:demo"), Err(Denied::MissingScope(NAMES))),
            (Some(""), Err(Denied::MissingScope(NAMES))),
            (None, Err(Denied::NoToken)),
        ] {
            let scopes = scopes.map(Scopes::parse);
            let answer = Auth::Gateway.authorize(scopes.as_ref(), NAMES, &project);
            assert_eq!(answer, expected, "{scopes:?}");
        }
    }
}
