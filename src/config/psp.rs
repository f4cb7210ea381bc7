//! Entries of `CONNECTORS` for an account at a PSP.

use super::connectors::{check_timeout, default_timeout_ms, projects, without_values};
use crate::connector::{Authorization, ConnectorSettings, Psp, StripeAccount};
use crate::secret::Secret;
use crate::url::connector_url;
use serde::Deserialize;
use serde_json::value::RawValue;

/// True if the entry names a PSP.
pub(super) fn is_psp(settings: &RawValue) -> bool {
    let entry: Result<AnyEntry, _> = serde_json::from_str(settings.get());
    entry.is_ok_and(|entry| entry.psp.is_some())
}

#[derive(Deserialize)]
struct AnyEntry {
    psp: Option<serde_json::Value>,
}

/// Reads the account of an entry.
pub(super) fn psp_account(settings: &RawValue) -> Result<ConnectorSettings, String> {
    let entry: PspEntry = serde_json::from_str(settings.get())
        .map_err(|error| format!("cannot be read: {}", without_values(&error)))?;
    match entry.psp {
        PspName::Stripe => entry.stripe(),
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum PspName {
    Stripe,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PspEntry {
    psp: PspName,
    url: Option<String>,
    #[serde(default = "default_timeout_ms")]
    timeout_ms: u64,
    projects: Option<Vec<String>>,
    api_key: String,
    #[serde(default)]
    webhook_secret: OneOrMore,
    api_version: Option<String>,
    #[serde(default)]
    multicapture: bool,
}

/// One secret, or several during a rotation.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Default for OneOrMore {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

impl OneOrMore {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(secret) => vec![secret],
            Self::More(secrets) => secrets,
        }
    }
}

impl PspEntry {
    fn stripe(self) -> Result<ConnectorSettings, String> {
        let url = self.url.as_deref().unwrap_or(StripeAccount::URL);
        let url = connector_url(url).map_err(|error| format!("has a url that {error}"))?;
        check_timeout(self.timeout_ms)?;
        // Stripe refuses each call with any other kind of key.
        if !["sk_", "rk_"].iter().any(|prefix| self.api_key.starts_with(prefix)) {
            return Err("has an apiKey that is neither a secret key (sk_…) nor a restricted one \
                        (rk_…)"
                .to_owned());
        }
        let webhook_secrets = self.webhook_secret.into_list();
        if webhook_secrets.iter().any(|secret| !secret.starts_with("whsec_")) {
            return Err("has a webhookSecret that is no signing secret (whsec_…)".to_owned());
        }
        let api_version = self.api_version.unwrap_or_else(|| StripeAccount::API_VERSION.to_owned());
        for text in [&self.api_key, &api_version].into_iter().chain(&webhook_secrets) {
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("has a key or a version that is not visible ASCII".to_owned());
            }
        }
        let account = StripeAccount {
            api_key: Secret::new(self.api_key),
            webhook_secrets: webhook_secrets.into_iter().map(Secret::new).collect(),
            api_version,
            multicapture: self.multicapture,
        };
        Ok(ConnectorSettings {
            url,
            timeout_ms: self.timeout_ms,
            authorization: Authorization::None,
            projects: projects(self.projects)?,
            policy: account.policy(),
            platform: None,
            psp: Some(Psp::Stripe(account)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{Absence, Lookup, Policy, Rejections, Resend, Rest};

    fn read(settings: &str) -> Result<ConnectorSettings, String> {
        psp_account(&RawValue::from_string(settings.to_owned()).unwrap())
    }

    #[test]
    fn an_account_at_stripe_has_stripes_own_policy() {
        for (more, rest) in [("", Rest::Released), (r#","multicapture":true"#, Rest::Kept)] {
            let read = read(&format!(r#"{{"psp":"stripe","apiKey":"sk_test_1"{more}}}"#)).unwrap();
            let policy = Policy {
                resend: Resend::SameKey { window_ms: 72_000_000 },
                rejected: Rejections::Final,
                lookup: Lookup::Payment,
                absence: Absence::Proof,
                rest,
                psp: Some("stripe"),
            };
            assert_eq!(read.policy, policy, "{more}");
            assert_eq!(read.url, "https://api.stripe.com/");
        }
    }

    #[test]
    fn one_webhook_secret_or_several_are_read() {
        for (secret, expected) in [
            (r#""whsec_1""#, &["whsec_1"][..]),
            (r#"["whsec_1","whsec_2"]"#, &["whsec_1", "whsec_2"]),
        ] {
            let settings =
                format!(r#"{{"psp":"stripe","apiKey":"sk_1","webhookSecret":{secret}}}"#);
            let Some(Psp::Stripe(account)) = read(&settings).unwrap().psp else { panic!() };
            let secrets: Vec<_> = account.webhook_secrets.iter().map(Secret::reveal).collect();
            assert_eq!(secrets, expected);
        }
    }

    #[test]
    fn an_account_that_could_not_work_is_refused_and_no_secret_is_repeated() {
        for (settings, expected) in [
            (r#""psp":"stripe""#, "missing field `apiKey`"),
            (r#""psp":"stripe","apiKey":"pk_secret""#, "neither a secret key"),
            (r#""psp":"stripe","apiKey":"sk_secret\n""#, "not visible ASCII"),
            (r#""psp":"stripe","apiKey":"sk_1","webhookSecret":"secret""#, "no signing secret"),
            (r#""psp":"stripe","apiKey":"sk_1","webhookSecret":7"#, "cannot be read"),
            (r#""psp":"stripe","apiKey":"sk_1","url":"http://x""#, "plain http"),
            (r#""psp":"stripe","apiKey":"sk_1","timeoutMs":1"#, "timeoutMs"),
            (r#""psp":"stripe","apiKey":"sk_1","projects":["A#"]"#, "project"),
            (r#""psp":"stripe","apiKey":"sk_1","profile":"stripe""#, "unknown field `profile`"),
            (r#""psp":"secret","apiKey":"sk_1""#, "unknown variant"),
        ] {
            let error = read(&format!("{{{settings}}}")).unwrap_err();
            assert!(error.contains(expected) && !error.contains("secret\""), "{error}");
            assert!(!error.contains("sk_") || error.contains("(sk_…)"), "{error}");
        }
    }
}
