//! `CONNECTORS`: the settings of each connector, and the profiles of the public ones.

use super::environment::Environment;
use super::psp::{is_psp, psp_account};
use crate::connector::{Authorization, ClientCredentials, ConnectorSettings, Connectors, Platform};
use crate::payment::ProjectKey;
use crate::ports::{Absence, Lookup, Policy, Rejections, Resend, Rest};
use crate::secret::Secret;
use crate::secrets_manager::SecretVariable;
use crate::url::{connector_url, trusted_url};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

impl Environment<'_> {
    pub(super) fn connectors(&mut self) -> Connectors {
        let text = self.secret(SecretVariable::Connectors);
        if text.is_empty() {
            return Connectors::new();
        }
        let Ok(entries) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(&text) else {
            self.problem("CONNECTORS", "is not a JSON object of connectors");
            return Connectors::new();
        };
        if entries.is_empty() {
            self.problem("CONNECTORS", "names no connector");
        }
        let plain = SecretVariable::Connectors.plain();
        let mut connectors = Connectors::new();
        for (name, settings) in entries {
            match any_connector(&settings) {
                Ok(settings) if !settings.may_be_plain() && self.is_set(plain) => {
                    let problem = format!(
                        "has the keys of a PSP account, which may only be kept in a secret: \
                         put it there, and give its ARN in {} in place of {plain}",
                        SecretVariable::Connectors.arn()
                    );
                    self.problem(&format!("{plain}.{name}"), problem);
                }
                Ok(settings) => {
                    connectors.insert(name, settings);
                }
                Err(problem) => self.problem(&format!("CONNECTORS.{name}"), problem),
            }
        }
        connectors
    }
}

/// An entry of `CONNECTORS`, as JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConnectorEntry {
    url: String,
    #[serde(default = "default_timeout_ms")]
    timeout_ms: u64,
    #[serde(default)]
    authorization: AuthorizationEntry,
    projects: Option<Vec<String>>,
    profile: Option<Profile>,
    resend: Option<ResendEntry>,
    resend_window_ms: Option<u64>,
    rejected: Option<RejectedEntry>,
    lookup: Option<LookupEntry>,
    absence: Option<AbsenceEntry>,
    platform: Option<PlatformEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlatformEntry {
    url: String,
    #[serde(default)]
    authorization: AuthorizationEntry,
}

#[derive(Default, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[serde(deny_unknown_fields)]
enum AuthorizationEntry {
    #[default]
    None,
    Forward,
    ClientCredentials {
        token_url: String,
        client_id: String,
        client_secret: String,
        scope: Option<String>,
    },
}

/// The public connectors. By their source code, none of them sends our key to its PSP, and
/// none records a transaction durably before its PSP acts.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Profile {
    Template,
    Adyen,
    Stripe,
    Braintree,
    Paypal,
    Giftcard,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum ResendEntry {
    Never,
    SameKey,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum RejectedEntry {
    Final,
    Unproven,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum LookupEntry {
    None,
    Payment,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum AbsenceEntry {
    Unproven,
    Proof,
}

/// The default time limit of one call.
pub(super) fn default_timeout_ms() -> u64 {
    20_000
}

/// The default time for which a connector honours a key: 20 h. PSPs commonly honour a key
/// for 24 h.
const RESEND_WINDOW_MS: u64 = 72_000_000;

/// Reads an entry: with `psp` it is the account at that PSP, without it a connector.
fn any_connector(settings: &RawValue) -> Result<ConnectorSettings, String> {
    if is_psp(settings) { psp_account(settings) } else { connector(settings) }
}

fn connector(settings: &RawValue) -> Result<ConnectorSettings, String> {
    let entry: ConnectorEntry = serde_json::from_str(settings.get())
        .map_err(|error| format!("cannot be read: {}", without_values(&error)))?;
    let url = connector_url(&entry.url).map_err(|error| format!("has a url that {error}"))?;
    check_timeout(entry.timeout_ms)?;
    let policy = entry.policy()?;
    let is_forwarded = matches!(entry.authorization, AuthorizationEntry::Forward);
    if policy.resend != Resend::Never && is_forwarded {
        return Err("has resend: sameKey with authorization: forward, but recovery has no caller \
                    whose token it could forward"
            .to_owned());
    }
    let platform = entry.platform.map(PlatformEntry::read).transpose()?;
    match (policy.lookup, &platform) {
        (Lookup::Payment, None) => return Err("has lookup: payment, but no platform".to_owned()),
        (Lookup::None, Some(_)) => return Err("has a platform, but no lookup: payment".to_owned()),
        (Lookup::Payment, Some(_)) | (Lookup::None, None) => {}
    }
    Ok(ConnectorSettings {
        url,
        timeout_ms: entry.timeout_ms,
        authorization: entry.authorization.read()?,
        projects: projects(entry.projects)?,
        policy,
        platform,
        psp: None,
    })
}

pub(super) fn check_timeout(timeout_ms: u64) -> Result<(), String> {
    if (100..=300_000).contains(&timeout_ms) {
        return Ok(());
    }
    Err("has a timeoutMs that is not from 100 to 300000".to_owned())
}

pub(super) fn projects(names: Option<Vec<String>>) -> Result<Option<Vec<ProjectKey>>, String> {
    let project = |name: &String| {
        ProjectKey::parse(name)
            .map_err(|_| format!("has a project {name:?} that cannot be a project key"))
    };
    names.map(|names| names.iter().map(project).collect()).transpose()
}

/// The message of the JSON parser without the invalid value, which may be a secret in the
/// wrong place. Names of fields are kept.
pub(super) fn without_values(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let about_fields = ["missing field", "unknown field", "duplicate field"];
    if about_fields.iter().any(|start| message.starts_with(start)) {
        return message;
    }
    let start = message.split([':', '`']).next().unwrap_or_default().trim_end();
    match message.rsplit_once(", expected") {
        Some((_, expected)) => format!("{start}, expected{expected}"),
        None => start.to_owned(),
    }
}

impl ConnectorEntry {
    /// The policy of the profile, with the operator's settings.
    fn policy(&self) -> Result<Policy, String> {
        let profile = self.profile.map(Profile::policy).unwrap_or_default();
        let window_ms = self.resend_window_ms.unwrap_or(RESEND_WINDOW_MS);
        let policy = Policy {
            resend: match self.resend {
                None => profile.resend,
                Some(ResendEntry::Never) => Resend::Never,
                Some(ResendEntry::SameKey) => Resend::SameKey { window_ms },
            },
            rejected: match self.rejected {
                None => profile.rejected,
                Some(RejectedEntry::Final) => Rejections::Final,
                Some(RejectedEntry::Unproven) => Rejections::Unproven,
            },
            lookup: match self.lookup {
                None if self.platform.is_none() => Lookup::None,
                None => profile.lookup,
                Some(LookupEntry::None) => Lookup::None,
                Some(LookupEntry::Payment) => Lookup::Payment,
            },
            absence: match self.absence {
                None => profile.absence,
                Some(AbsenceEntry::Unproven) => Absence::Unproven,
                Some(AbsenceEntry::Proof) => Absence::Proof,
            },
            rest: Rest::Kept,
            psp: None,
        };
        if self.resend_window_ms.is_some() && policy.resend == Resend::Never {
            return Err("has a resendWindowMs, but resend: never".to_owned());
        }
        if policy.absence == Absence::Proof && policy.lookup == Lookup::None {
            return Err("has absence: proof, but no lookup".to_owned());
        }
        Ok(policy)
    }
}

impl Profile {
    fn policy(self) -> Policy {
        let lookup = match self {
            Self::Template | Self::Adyen | Self::Braintree | Self::Paypal => Lookup::Payment,
            // The platform's Payment may be wrong: Stripe's webhooks write cumulative
            // amounts, and a failed rollback of a gift card may be shown as a Success.
            Self::Stripe | Self::Giftcard => Lookup::None,
        };
        Policy { rejected: Rejections::Unproven, lookup, ..Policy::default() }
    }
}

impl PlatformEntry {
    fn read(self) -> Result<Platform, String> {
        let url = connector_url(&self.url)
            .map_err(|error| format!("has a platform with a url that {error}"))?;
        match self.authorization.read()? {
            Authorization::Forward => {
                Err("has a platform with authorization: forward, but recovery has no caller".into())
            }
            authorization => Ok(Platform { url, authorization }),
        }
    }
}

impl AuthorizationEntry {
    fn read(self) -> Result<Authorization, String> {
        Ok(match self {
            Self::None => Authorization::None,
            Self::Forward => Authorization::Forward,
            Self::ClientCredentials { token_url, client_id, client_secret, scope } => {
                let token_url = trusted_url(&token_url)
                    .map_err(|error| format!("has a tokenUrl that {error}"))?;
                let client_secret = Secret::new(client_secret);
                let credentials = ClientCredentials { token_url, client_id, client_secret, scope };
                Authorization::ClientCredentials(credentials)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &str) -> Result<ConnectorSettings, String> {
        connector(&RawValue::from_string(settings.to_owned()).unwrap())
    }

    #[test]
    fn a_profile_is_what_is_safe_and_the_operator_may_say_otherwise() {
        let unproven = || Policy { rejected: Rejections::Unproven, ..Policy::default() };
        let with_lookup = || Policy { lookup: Lookup::Payment, ..unproven() };
        let platform = r#""platform":{"url":"https://platform.example"}"#;
        for (settings, expected) in [
            (String::new(), Policy::default()),
            (r#","profile":"stripe""#.to_owned(), unproven()),
            (r#","profile":"giftcard""#.to_owned(), unproven()),
            (r#","profile":"adyen""#.to_owned(), unproven()),
            (format!(r#","profile":"adyen",{platform}"#), with_lookup()),
            (format!(r#","profile":"template",{platform}"#), with_lookup()),
            (format!(r#","profile":"braintree",{platform}"#), with_lookup()),
            (format!(r#","profile":"paypal",{platform}"#), with_lookup()),
            (r#","profile":"paypal","rejected":"final""#.to_owned(), Policy::default()),
            (
                format!(r#","lookup":"payment","absence":"proof",{platform}"#),
                Policy { lookup: Lookup::Payment, absence: Absence::Proof, ..Policy::default() },
            ),
            (
                r#","resend":"sameKey""#.to_owned(),
                Policy { resend: Resend::SameKey { window_ms: 72_000_000 }, ..Policy::default() },
            ),
            (
                r#","resend":"sameKey","resendWindowMs":60000"#.to_owned(),
                Policy { resend: Resend::SameKey { window_ms: 60_000 }, ..Policy::default() },
            ),
        ] {
            let settings = format!(r#"{{"url":"https://x"{settings}}}"#);
            assert_eq!(read(&settings).unwrap().policy, expected, "{settings}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (settings, expected) in [
            (r#""lookup":"payment""#, "lookup: payment, but no platform"),
            (
                r#""profile":"stripe","platform":{"url":"https://x"}"#,
                "a platform, but no lookup: payment",
            ),
            (r#""absence":"proof""#, "absence: proof, but no lookup"),
            (r#""resendWindowMs":1000"#, "resendWindowMs, but resend: never"),
            (
                r#""resend":"sameKey","authorization":{"type":"forward"}"#,
                "sameKey with authorization: forward",
            ),
            (r#""profile":"unheard-of""#, "unknown variant"),
            (
                r#""lookup":"payment","platform":{"url":"https://x","authorization":{"type":"forward"}}"#,
                "recovery has no caller",
            ),
            (
                r#""authorization":{"type":"clientCredentials","tokenUrl":"http://x","clientId":"a","clientSecret":"b"}"#,
                "has a tokenUrl that is plain http",
            ),
            (r#""authorization":{"type":"clientCredentials"}"#, "missing field"),
        ] {
            let error = read(&format!(r#"{{"url":"https://x",{settings}}}"#)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
