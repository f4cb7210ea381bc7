//! The settings in Secrets Manager. They are read through the AWS Parameters and Secrets
//! Lambda Extension, a server on localhost in the function's execution environment.

use crate::clock::SystemClock;
use crate::error::BoxError;
use crate::error::causes;
use crate::ports::Clock;
use crate::secret::Secret;
use crate::transport::Transport;
use crate::url::UNRESERVED;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Duration;

/// A setting that may be a secret. One variable holds the setting, another one the ARN of
/// a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SecretVariable {
    Connectors,
    AuthClientSecret,
}

impl SecretVariable {
    /// The variable that holds the setting.
    pub(crate) fn plain(self) -> &'static str {
        match self {
            Self::Connectors => "CONNECTORS",
            Self::AuthClientSecret => "AUTH_CLIENT_SECRET",
        }
    }

    /// The variable that holds the ARN of the secret.
    pub(crate) fn arn(self) -> &'static str {
        match self {
            Self::Connectors => "CONNECTORS_SECRET_ARN",
            Self::AuthClientSecret => "AUTH_CLIENT_SECRET_ARN",
        }
    }
}

/// The secrets that the environment names, or the errors of reading them.
#[derive(Debug, Default)]
pub struct Secrets {
    read: HashMap<SecretVariable, Result<Secret, Unread>>,
}

/// The reasons why a secret could not be read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The extension is not ready or cannot be reached, which is normal before the
    /// first event.
    NotYet(String),
    /// It refused, or its answer cannot be read.
    Failed(BoxError),
}

const ANSWER_BYTES_MAX: usize = 128 * 1024;
/// The time limit of one request to the extension.
const TRY_TIME: Duration = Duration::from_secs(2);
/// The pause before a request is repeated.
const PAUSE_MS: u64 = 50;

impl Secrets {
    /// Reads the secrets that the environment names, before the first event. The extension
    /// may not be ready by then: see [`Self::are_pending`].
    pub async fn at_start(
        variable: impl Fn(&str) -> Option<String>,
        transport: &Transport,
    ) -> Self {
        Self::read(variable, transport, 0).await
    }

    /// Reads the secrets during an event, and waits until the extension is ready.
    pub async fn with_event(
        variable: impl Fn(&str) -> Option<String>,
        transport: &Transport,
    ) -> Self {
        const WAIT_MS: u64 = 3_000;
        let mut secrets = Self::read(variable, transport, WAIT_MS).await;
        for found in secrets.read.values_mut() {
            if let Err(Unread::NotYet(error)) = found {
                *found = Err(Unread::Failed(std::mem::take(error).into()));
            }
        }
        secrets
    }

    async fn read(
        variable: impl Fn(&str) -> Option<String>,
        transport: &Transport,
        wait_ms: u64,
    ) -> Self {
        let until = SystemClock.now().plus_ms(wait_ms);
        let mut read = HashMap::new();
        for name in [SecretVariable::Connectors, SecretVariable::AuthClientSecret] {
            let Some(arn) = variable(name.arn()).filter(|arn| !arn.is_empty()) else { continue };
            let mut found = fetch(&variable, transport, &arn).await;
            while matches!(found, Err(Unread::NotYet(_))) && SystemClock.now() < until {
                SystemClock.sleep_ms(PAUSE_MS).await;
                found = fetch(&variable, transport, &arn).await;
            }
            read.insert(name, found);
        }
        Self { read }
    }

    /// True if the extension was not ready, so that a secret has to be read with the first
    /// event.
    pub fn are_pending(&self) -> bool {
        self.read.values().any(|found| matches!(found, Err(Unread::NotYet(_))))
    }

    pub(crate) fn get(&self, name: SecretVariable) -> Option<&Result<Secret, Unread>> {
        self.read.get(&name)
    }
}

async fn fetch(
    variable: &impl Fn(&str) -> Option<String>,
    transport: &Transport,
    arn: &str,
) -> Result<Secret, Unread> {
    let request = request(variable, arn).map_err(Unread::Failed)?;
    let now = SystemClock.now();
    let exchanged = transport.exchange(request, TRY_TIME, ANSWER_BYTES_MAX, now).await;
    let answer = exchanged.map_err(|error| Unread::NotYet(causes(error.into_cause().as_ref())))?;
    if answer.status == StatusCode::BAD_REQUEST && answer.body.starts_with(b"not ready") {
        return Err(Unread::NotYet("the extension is not ready".to_owned()));
    }
    if !answer.status.is_success() {
        let error = format!("the extension answered {}", answer.status);
        return Err(Unread::Failed(error.into()));
    }
    // The parser's message is dropped: it may quote the body.
    let read: Result<SecretValue, _> = serde_json::from_slice(&answer.body);
    let value =
        read.map_err(|_| Unread::Failed("the extension answered no SecretString".into()))?;
    Ok(Secret::new(value.secret_string))
}

#[derive(Deserialize)]
struct SecretValue {
    #[serde(rename = "SecretString")]
    secret_string: String,
}

/// The request to the extension. It requires the function's session token.
fn request(
    variable: &impl Fn(&str) -> Option<String>,
    arn: &str,
) -> Result<Request<Full<hyper::body::Bytes>>, BoxError> {
    let port = variable("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT");
    let port: u16 = port.as_deref().unwrap_or("2773").parse()?;
    let arn = utf8_percent_encode(arn, UNRESERVED);
    let uri = format!("http://localhost:{port}/secretsmanager/get?secretId={arn}");
    let token = variable("AWS_SESSION_TOKEN").unwrap_or_default();
    let mut token = HeaderValue::try_from(token)?;
    token.set_sensitive(true);
    let request = Request::get(uri).header("x-aws-parameters-secrets-token", token);
    Ok(request.body(Full::default())?)
}
