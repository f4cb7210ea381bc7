//! The environment, read once. Everything that is missing, unknown or
//! contradictory is named, all of it at once.

mod connectors;

pub use connectors::connector_url;

use crate::auth::Auth;
use crate::clock::SystemClock;
use crate::connector::{Connectors, HttpConnector};
use crate::dynamodb::{Connection, DynamoStore};
use crate::http::{ApiOptions, RepeatDetection, ResponseForm};
use crate::ports::BoxError;
use crate::service::Service;
use aws_sdk_dynamodb::config::Credentials;
use std::fmt;
use tracing::level_filters::LevelFilter;

/// What the Lambda behind the API is told by its environment.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it works with.
    pub backend: Backend,
    /// What the operator decides about the API (`AUTH`, `RESPONSE`,
    /// `REPEAT_DETECTION`).
    pub api: ApiOptions,
}

/// What both Lambdas work with.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The table of Payments (`PAYMENTS_TABLE`).
    pub table: String,
    /// How DynamoDB is reached (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, and
    /// the credentials that Lambda puts there).
    pub dynamodb: Connection,
    /// The connectors by payment interface (`CONNECTORS`).
    pub connectors: Connectors,
    /// What is logged (`AWS_LAMBDA_LOG_LEVEL`).
    pub log_level: LevelFilter,
}

impl Config {
    /// Reads the environment through `variable`. An empty variable counts as
    /// missing.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut environment = Environment { variable: &variable, problems: Vec::new() };
        let backend = environment.backend();
        let api = ApiOptions {
            auth: environment.auth(),
            response: environment.response(),
            repeat_detection: environment.repeat_detection(),
        };
        environment.checked(Self { backend, api })
    }
}

impl Backend {
    /// As [`Config::read`], for the scheduled Lambda, which has no callers.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut environment = Environment { variable: &variable, problems: Vec::new() };
        let backend = environment.backend();
        environment.checked(backend)
    }

    /// Everything slow about it. Connects to nobody yet.
    pub fn service(
        self,
    ) -> Result<Service<DynamoStore, HttpConnector<SystemClock>, SystemClock>, BoxError> {
        let store = DynamoStore::new(self.dynamodb.client(), self.table);
        let connector = HttpConnector::new(self.connectors, SystemClock)?;
        Ok(Service::new(store, connector, SystemClock))
    }
}

struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl Environment<'_> {
    fn optional(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    fn required(&mut self, name: &str) -> String {
        let value = self.optional(name);
        if value.is_none() {
            self.problem(name, "is missing");
        }
        value.unwrap_or_default()
    }

    fn problem(&mut self, name: &str, what: impl fmt::Display) {
        self.problems.push(format!("{name} {what}"));
    }

    fn checked<T>(self, read: T) -> Result<T, ConfigError> {
        match self.problems {
            problems if problems.is_empty() => Ok(read),
            problems => Err(ConfigError { problems }),
        }
    }

    fn backend(&mut self) -> Backend {
        Backend {
            table: self.required("PAYMENTS_TABLE"),
            dynamodb: self.dynamodb(),
            connectors: self.connectors(),
            log_level: self.log_level(),
        }
    }

    fn dynamodb(&mut self) -> Connection {
        Connection {
            region: self.required("AWS_REGION"),
            endpoint_url: self.optional("AWS_ENDPOINT_URL_DYNAMODB"),
            credentials: Credentials::new(
                self.required("AWS_ACCESS_KEY_ID"),
                self.required("AWS_SECRET_ACCESS_KEY"),
                self.optional("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
        }
    }

    fn auth(&mut self) -> Auth {
        match self.required("AUTH").as_str() {
            "gateway" | "" => {}
            "off" => self.problem("AUTH", "is off, which only the local server may be"),
            _ => self.problem("AUTH", "is not one of: gateway"),
        }
        Auth::Gateway
    }

    fn response(&mut self) -> ResponseForm {
        response_form(self.optional("RESPONSE").as_deref()).unwrap_or_else(|problem| {
            self.problem("RESPONSE", problem);
            ResponseForm::Empty
        })
    }

    fn repeat_detection(&mut self) -> RepeatDetection {
        repeat_detection(self.optional("REPEAT_DETECTION").as_deref()).unwrap_or_else(|problem| {
            self.problem("REPEAT_DETECTION", problem);
            RepeatDetection::Key
        })
    }

    fn log_level(&mut self) -> LevelFilter {
        let Some(level) = self.optional("AWS_LAMBDA_LOG_LEVEL") else { return LevelFilter::INFO };
        match level.to_ascii_uppercase().as_str() {
            "TRACE" => LevelFilter::TRACE,
            "DEBUG" => LevelFilter::DEBUG,
            "INFO" => LevelFilter::INFO,
            "WARN" => LevelFilter::WARN,
            "ERROR" | "FATAL" => LevelFilter::ERROR,
            _ => {
                let levels = "is not one of: TRACE, DEBUG, INFO, WARN, ERROR, FATAL";
                self.problem("AWS_LAMBDA_LOG_LEVEL", levels);
                LevelFilter::INFO
            }
        }
    }
}

/// Reads `RESPONSE`.
pub fn response_form(value: Option<&str>) -> Result<ResponseForm, &'static str> {
    match value {
        None | Some("" | "empty") => Ok(ResponseForm::Empty),
        Some("outcome") => Ok(ResponseForm::Outcome),
        Some(_) => Err("is not one of: empty, outcome"),
    }
}

/// Reads `REPEAT_DETECTION`.
pub fn repeat_detection(value: Option<&str>) -> Result<RepeatDetection, &'static str> {
    match value {
        None | Some("" | "key") => Ok(RepeatDetection::Key),
        Some("correlation-id") => Ok(RepeatDetection::CorrelationId),
        Some(_) => Err("is not one of: key, correlation-id"),
    }
}

/// All that is wrong with the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid configuration: {}", self.problems.join("; "))
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Authorization;

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const VALID: [(&str, &str); 6] = [
        ("PAYMENTS_TABLE", "payments"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("CONNECTORS", r#"{"*":{"url":"https://connector.example"}}"#),
        ("AUTH", "gateway"),
    ];

    fn with<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
        let kept = VALID.into_iter().filter(|(known, _)| *known != name);
        kept.chain([(name, value)]).collect()
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        assert_eq!(
            read(&[]).unwrap_err().to_string(),
            "invalid configuration: PAYMENTS_TABLE is missing; AWS_REGION is missing; \
             AWS_ACCESS_KEY_ID is missing; AWS_SECRET_ACCESS_KEY is missing; \
             CONNECTORS is missing; AUTH is missing"
        );
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let config = read(&VALID).unwrap();
        assert_eq!(config.api.response, ResponseForm::Empty);
        assert_eq!(config.api.repeat_detection, RepeatDetection::Key);
        assert_eq!(config.backend.log_level, LevelFilter::INFO);
        let connector = &config.backend.connectors["*"];
        assert_eq!(connector.timeout_ms, 20_000);
        assert_eq!(connector.authorization, Authorization::None);
        assert_eq!(connector.projects, None);
    }

    #[test]
    fn a_wrong_value_is_named_with_its_place() {
        for (name, value, expected) in [
            ("AUTH", "off", "AUTH is off, which only the local server may be"),
            ("AUTH", "none", "AUTH is not one of: gateway"),
            ("RESPONSE", "full", "RESPONSE is not one of: empty, outcome"),
            ("REPEAT_DETECTION", "guess", "REPEAT_DETECTION is not one of: key, correlation-id"),
            ("AWS_LAMBDA_LOG_LEVEL", "loud", "AWS_LAMBDA_LOG_LEVEL is not one of: TRACE"),
            ("CONNECTORS", "[]", "CONNECTORS is not a JSON object of connectors"),
            ("CONNECTORS", "{}", "CONNECTORS names no connector"),
            ("CONNECTORS", r#"{"a":{}}"#, "CONNECTORS.a cannot be read: missing field `url`"),
            (
                "CONNECTORS",
                r#"{"a":{"url":"https://x","resnd":"never"}}"#,
                "CONNECTORS.a cannot be read: unknown field `resnd`",
            ),
            (
                "CONNECTORS",
                r#"{"a":{"url":"http://connector.example"}}"#,
                "CONNECTORS.a has a url that is plain http",
            ),
            (
                "CONNECTORS",
                r#"{"a":{"url":"https://user:secret@connector.example"}}"#,
                "CONNECTORS.a has a url that carries credentials",
            ),
            (
                "CONNECTORS",
                r#"{"a":{"url":"https://x?y=z"}}"#,
                "CONNECTORS.a has a url that has a query",
            ),
            ("CONNECTORS", r#"{"a":{"url":"x"}}"#, "CONNECTORS.a has a url that"),
            (
                "CONNECTORS",
                r#"{"a":{"url":"https://x","timeoutMs":0}}"#,
                "CONNECTORS.a has a timeoutMs",
            ),
            (
                "CONNECTORS",
                r#"{"a":{"url":"https://x","projects":["A#B"]}}"#,
                r##"CONNECTORS.a has a project "A#B""##,
            ),
        ] {
            let error = read(&with(name, value)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
