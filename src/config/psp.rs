//! Entries of `CONNECTORS` for an account at a PSP.

use super::connectors::{check_timeout, default_timeout_ms, projects, without_values};
use crate::connector::{AdyenAccount, Authorization, ConnectorSettings, Psp, StripeAccount};
use crate::ports::Policy;
use crate::secret::Secret;
use crate::url::connector_url;
use http::Uri;
use serde::Deserialize;
use serde::de::DeserializeOwned;
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
    let entry: NamedEntry = read(settings)?;
    match entry.psp {
        PspName::Stripe => read::<StripeEntry>(settings)?.account(),
        PspName::Adyen => read::<AdyenEntry>(settings)?.account(),
    }
}

fn read<T: DeserializeOwned>(settings: &RawValue) -> Result<T, String> {
    serde_json::from_str(settings.get())
        .map_err(|error| format!("cannot be read: {}", without_values(&error)))
}

#[derive(Deserialize)]
struct NamedEntry {
    psp: PspName,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum PspName {
    Stripe,
    Adyen,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StripeEntry {
    #[serde(rename = "psp")]
    _psp: PspName,
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

impl StripeEntry {
    fn account(self) -> Result<ConnectorSettings, String> {
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
        if !are_visible([&self.api_key, &api_version].into_iter().chain(&webhook_secrets)) {
            return Err("has a key or a version that is not visible ASCII".to_owned());
        }
        let account = StripeAccount {
            api_key: Secret::new(self.api_key),
            webhook_secrets: webhook_secrets.into_iter().map(Secret::new).collect(),
            api_version,
            multicapture: self.multicapture,
        };
        let policy = account.policy();
        account_settings(url, self.timeout_ms, self.projects, policy, Psp::Stripe(account))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AdyenEntry {
    #[serde(rename = "psp")]
    _psp: PspName,
    url: String,
    #[serde(default = "default_timeout_ms")]
    timeout_ms: u64,
    projects: Option<Vec<String>>,
    merchant_account: String,
    api_key: String,
    #[serde(default)]
    hmac_keys: OneOrMore,
    #[serde(default)]
    multicapture: bool,
}

impl AdyenEntry {
    fn account(self) -> Result<ConnectorSettings, String> {
        let url = connector_url(&self.url).map_err(|error| format!("has a url that {error}"))?;
        // `…/checkout/v71`: each company has a host of its own, so there is no default.
        let last = url.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let version = last.strip_prefix('v').unwrap_or_default();
        if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("has a url that does not end with the version of the Checkout API, as \
                        in …/checkout/v71"
                .to_owned());
        }
        check_timeout(self.timeout_ms)?;
        let hmac_keys = self.hmac_keys.into_list();
        if !hmac_keys.iter().all(|key| is_hmac_key(key)) {
            return Err("has an HMAC key that is not 64 hexadecimal digits".to_owned());
        }
        if !are_visible([&self.api_key].into_iter()) {
            return Err("has an apiKey that is not visible ASCII".to_owned());
        }
        // The signature of a webhook could be read in two ways.
        if !are_visible([&self.merchant_account].into_iter()) || self.merchant_account.contains(':')
        {
            return Err("has a merchantAccount that cannot be the name of one".to_owned());
        }
        let account = AdyenAccount {
            merchant_account: self.merchant_account,
            api_key: Secret::new(self.api_key),
            hmac_keys: hmac_keys.into_iter().map(Secret::new).collect(),
            multicapture: self.multicapture,
        };
        let policy = account.policy(&url);
        account_settings(url, self.timeout_ms, self.projects, policy, Psp::Adyen(account))
    }
}

fn account_settings(
    url: Uri,
    timeout_ms: u64,
    names: Option<Vec<String>>,
    policy: Policy,
    psp: Psp,
) -> Result<ConnectorSettings, String> {
    Ok(ConnectorSettings {
        url,
        timeout_ms,
        authorization: Authorization::None,
        projects: projects(names)?,
        policy,
        platform: None,
        psp: Some(psp),
    })
}

/// True if each text has characters, and only visible ASCII ones.
fn are_visible<'a>(mut texts: impl Iterator<Item = &'a String>) -> bool {
    texts.all(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// The Customer Area makes keys of 32 bytes, in hexadecimal digits.
fn is_hmac_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{Absence, Lookup, Rejections, Resend, Rest};

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
                psp: Some("stripe".to_owned()),
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

    const ADYEN: &str = r#""psp":"adyen","merchantAccount":"Shop","apiKey":"AQE1""#;
    const ADYEN_URL: &str = r#""url":"https://1-checkout-live.adyenpayments.com/checkout/v71""#;

    #[test]
    fn an_account_at_adyen_has_adyens_own_policy() {
        for (more, rest) in [("", Rest::Released), (r#","multicapture":true"#, Rest::Kept)] {
            let read = read(&format!("{{{ADYEN},{ADYEN_URL}{more}}}")).unwrap();
            let policy = Policy {
                resend: Resend::SameKey { window_ms: 518_400_000 },
                rejected: Rejections::Final,
                lookup: Lookup::None,
                absence: Absence::Unproven,
                rest,
                psp: read.policy.psp.clone(),
            };
            assert_eq!(read.policy, policy, "{more}");
        }
    }

    /// An account has the keys of its merchant account and host, whatever else changes.
    #[test]
    fn an_account_at_adyen_is_known_by_its_merchant_account_and_host() {
        let name = |merchant: &str, url: &str, key: &str| {
            let entry = format!(
                r#"{{"psp":"adyen","merchantAccount":"{merchant}","apiKey":"{key}","url":"{url}"}}"#
            );
            read(&entry).unwrap().policy.psp.unwrap()
        };
        let known = name("Shop", "https://a.example/checkout/v71", "AQE1");
        assert!(known.starts_with("adyen-") && known.len() == 14, "{known}");
        assert_eq!(name("Shop", "https://a.example/checkout/v72", "AQE2"), known);
        for other in [
            name("Shop", "https://b.example/checkout/v71", "AQE1"),
            name("Shop2", "https://a.example/checkout/v71", "AQE1"),
        ] {
            assert_ne!(other, known);
        }
    }

    #[test]
    fn one_hmac_key_or_several_are_read() {
        let (a, b) = ("0a".repeat(32), "FF".repeat(32));
        for (keys, expected) in [
            (format!(r#""{a}""#), vec![&a]),
            (format!(r#"["{a}","{b}"]"#), vec![&a, &b]),
            ("[]".to_owned(), vec![]),
        ] {
            let settings = format!(r#"{{{ADYEN},{ADYEN_URL},"hmacKeys":{keys}}}"#);
            let Some(Psp::Adyen(account)) = read(&settings).unwrap().psp else { panic!() };
            let keys: Vec<_> = account.hmac_keys.iter().map(Secret::reveal).collect();
            assert_eq!(keys, expected);
        }
    }

    #[test]
    fn an_account_at_adyen_that_could_not_work_is_refused_and_no_secret_is_repeated() {
        let url = |url: &str| format!(r#"{ADYEN},"url":"{url}""#);
        let with = |more: &str| format!("{ADYEN},{ADYEN_URL},{more}");
        let account = |name: &str, key: &str| {
            format!(r#""psp":"adyen",{ADYEN_URL},"merchantAccount":"{name}","apiKey":"{key}""#)
        };
        let key = "secret".repeat(11);
        for (settings, expected) in [
            (ADYEN.to_owned(), "missing field `url`"),
            (format!(r#""psp":"adyen",{ADYEN_URL},"apiKey":"secret""#), "`merchantAccount`"),
            (
                format!(r#""psp":"adyen",{ADYEN_URL},"merchantAccount":"Shop""#),
                "missing field `apiKey`",
            ),
            (account("Shop", ""), "apiKey that is not visible ASCII"),
            (account("Shop", "secret secret"), "apiKey that is not visible ASCII"),
            (account("", "secret"), "merchantAccount that cannot"),
            (account("a:b", "secret"), "merchantAccount that cannot"),
            (url("http://adyen.example/v71"), "plain http"),
            (url("https://checkout-test.adyen.com"), "the version of the Checkout API"),
            (url("https://checkout-test.adyen.com/checkout"), "the version of the Checkout API"),
            (url("https://checkout-test.adyen.com/v"), "the version of the Checkout API"),
            (url("https://checkout-test.adyen.com/v71?a=b"), "has a query"),
            (with(r#""hmacKeys":"secret""#), "not 64 hexadecimal digits"),
            (with(&format!(r#""hmacKeys":["{key}"]"#)), "not 64 hexadecimal digits"),
            (with(r#""hmacKeys":7"#), "cannot be read"),
            (with(r#""webhookSecret":"secret""#), "unknown field `webhookSecret`"),
            (with(r#""timeoutMs":1"#), "timeoutMs"),
            (with(r#""projects":["A#"]"#), "project"),
        ] {
            let error = read(&format!("{{{settings}}}")).unwrap_err();
            assert!(error.contains(expected), "{settings}: {error}");
            assert!(!error.contains("secret") && !error.contains("AQE1"), "{error}");
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
