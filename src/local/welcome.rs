//! The text that is printed when the server is ready: its address, its Payments, and
//! commands to try.

use super::adyen::AdyenSandbox;
use super::stripe::StripeSandbox;
use super::{Local, PROJECT, TABLE, tokens};
use crate::error::BoxError;
use crate::payment::{Payment, State};
use serde_json::json;
use std::fmt::Write as _;

impl Local {
    /// The text of the welcome. Its first line has the address of the server. Its last
    /// lines are the environment of the Lambda for the same Payments.
    pub fn welcome(&self, is_coloured: bool) -> Result<String, BoxError> {
        let paint = |code: &str, text: &str| match is_coloured {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        };
        let url = format!("http://{}", self.address()?);
        let mut text = String::new();
        writeln!(text, "listening on {}", paint("1;36", &url))?;
        let auth = match self.server.is_open {
            true => "authorization is off: this is for localhost alone",
            false => "authorization is on, as AUTH says: send `Authorization: Bearer` with a token",
        };
        writeln!(text, "open it in a browser, or try the lines below in another terminal")?;
        writeln!(text, "{auth}")?;
        match &self.connectors {
            None => {
                writeln!(text, "the PSP is a sandbox: `merchantReference` tells it what to do")?
            }
            Some(own) => {
                for (name, url) in &own.urls {
                    let payments = match (name.as_str(), own.urls.len()) {
                        ("*", 1) => "Payments go".to_owned(),
                        ("*", _) => "all other Payments go".to_owned(),
                        _ => format!("Payments with the interface {name} go"),
                    };
                    writeln!(text, "{payments} to {url}")?;
                }
            }
        }
        if let Some(stripe) = &self.server.psps.stripe {
            let (url, key) = (stripe.url(), StripeSandbox::API_KEY);
            writeln!(text, "A Stripe on localhost: {url} with the key {key}")?;
        }
        if let Some(adyen) = &self.server.psps.adyen {
            let (url, key) = (adyen.url(), AdyenSandbox::API_KEY);
            writeln!(text, "An Adyen on localhost: {url} with the key {key}")?;
        }
        writeln!(text, "\n{}", paint("1", "Payments"))?;
        writeln!(text, "  of project {PROJECT}, in minor units")?;
        for payment in &self.payments {
            writeln!(text, "  {}  {}", payment.key.id.as_str(), summary(payment))?;
        }
        if let Some(payment) = self.payments.first() {
            writeln!(text, "\n{}", paint("1", "Try"))?;
            for line in self.lines_to_try(&url, payment) {
                writeln!(text, "  {line}")?;
            }
        }
        writeln!(text, "\n{}", paint("1", "The environment of `cargo lambda watch`"))?;
        for line in self.lambda_environment().lines() {
            writeln!(text, "  {line}")?;
        }
        Ok(text)
    }

    fn lines_to_try(&self, url: &str, payment: &Payment) -> Vec<String> {
        let id = payment.key.id.as_str();
        let currency = payment.currency();
        let scope = tokens::everything_in([&PROJECT.to_owned()]);
        // A connector that gets the caller's token wants one.
        let bearer = match (self.server.is_open, &self.connectors) {
            (true, None) => String::new(),
            (true, Some(_)) => format!("-H 'Authorization: Bearer {}' ", tokens::token(&scope)),
            (false, _) => "-H \"Authorization: Bearer $TOKEN\" ".to_owned(),
        };
        let mut lines: Vec<_> =
            [("capturePayment", 4000), ("capturePayment", 7000), ("refundPayment", 1000)]
                .into_iter()
                .map(|(action, amount)| {
                    format!(
                        "curl {url}/{PROJECT}/payment-intents/{id} {bearer}--json \
                         '{{\"actions\":[{{\"action\":\"{action}\",\"amount\":\
                         {{\"centAmount\":{amount},\"currencyCode\":\"{currency}\"}}}}]}}'"
                    )
                })
                .collect();
        lines.push(format!("curl {bearer}{url}/{PROJECT}/payments/{id}"));
        if self.server.psps.sandbox.is_some() {
            lines.push(format!("curl {url}/sandbox/ledger"));
        }
        lines
    }

    /// The environment for a Lambda that uses the same Payments and the same connectors, as
    /// lines for a shell.
    fn lambda_environment(&self) -> String {
        let connectors = match &self.connectors {
            Some(own) => own.export.clone(),
            None => {
                let url = self.connector_url.to_string();
                let mut connectors = json!({"*": {"url": url.trim_end_matches('/')}});
                let psps = &self.server.psps;
                if let (Some(stripe), Some(entries)) = (&psps.stripe, connectors.as_object_mut()) {
                    entries.insert("stripe".to_owned(), stripe.entry());
                }
                if let (Some(adyen), Some(entries)) = (&psps.adyen, connectors.as_object_mut()) {
                    entries.insert("adyen".to_owned(), adyen.entry());
                }
                format!("CONNECTORS='{connectors}'")
            }
        };
        format!(
            "export AUTH=gateway PAYMENTS_TABLE={TABLE} AWS_REGION=eu-central-1 \
             AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local\n\
             export AWS_ENDPOINT_URL_DYNAMODB={}\n\
             export {connectors}",
            self.dynamodb_url,
        )
    }
}

fn summary(payment: &Payment) -> String {
    let balances = &payment.balances;
    let pending = payment.transactions.values().any(|past| past.state == State::Pending);
    if balances.authorized.is_zero() {
        return if pending { "authorization pending" } else { "nothing authorized" }.to_owned();
    }
    format!(
        "{} authorized, {} captured, {} refunded",
        balances.authorized,
        balances.captured.minor_units(),
        balances.refunded.minor_units()
    )
}
