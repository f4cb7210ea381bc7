//! The configuration, read once from the environment. One error names all variables that
//! are missing, invalid or contradictory.

mod auth;
mod connectors;
mod environment;
mod psp;

pub use environment::ConfigError;

use crate::auth::AuthSettings;
use crate::aws::Connection;
use crate::connector::Connectors;
use crate::http::{ApiOptions, RepeatDetection, ResponseForm};
use crate::observe::Logging;
use crate::secrets_manager::Secrets;
use aws_sdk_dynamodb::config::Credentials;
use environment::Environment;
use tracing::level_filters::LevelFilter;

/// The configuration of the Lambda behind the API.
#[derive(Clone, Debug)]
pub struct Config {
    /// The store, the connectors and the log.
    pub backend: Backend,
    /// The authorization of callers (`AUTH`, `AUTH_…`).
    pub auth: AuthSettings,
    /// The operator's options of the API (`RESPONSE`, `REPEAT_DETECTION`).
    pub api: ApiOptions,
}

/// The configuration that the API and recovery have in common.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The table of Payments (`PAYMENTS_TABLE`).
    pub table: String,
    /// The connection to DynamoDB (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, and
    /// the credentials that Lambda sets).
    pub dynamodb: Connection,
    /// The connectors by payment interface (`CONNECTORS`).
    pub connectors: Connectors,
    /// The log (`AWS_LAMBDA_LOG_LEVEL`, `STACK_NAME`).
    pub logging: Logging,
}

impl Config {
    /// Reads the environment through `variable`. An empty variable counts as
    /// missing. A secret that is pending does not count as missing.
    pub fn read(
        variable: impl Fn(&str) -> Option<String>,
        secrets: &Secrets,
    ) -> Result<Self, ConfigError> {
        let mut environment = Environment::new(&variable, secrets);
        let backend = environment.backend();
        let auth = environment.auth(false);
        let api = environment.api();
        environment.checked(Self { backend, auth, api })
    }
}

impl Backend {
    /// As [`Config::read`], for the Lambda of recovery, which has no callers.
    pub fn read(
        variable: impl Fn(&str) -> Option<String>,
        secrets: &Secrets,
    ) -> Result<Self, ConfigError> {
        let mut environment = Environment::new(&variable, secrets);
        let backend = environment.backend();
        environment.checked(backend)
    }
}

/// The configuration of the Lambda behind the stream.
#[derive(Clone, Debug)]
pub struct EventsConfig {
    /// The event bus (`EVENT_BUS_NAME`).
    pub bus: String,
    /// The connection to EventBridge (`AWS_REGION`, `AWS_ENDPOINT_URL_EVENTBRIDGE`,
    /// and the credentials that Lambda sets).
    pub eventbridge: Connection,
    /// The log (`AWS_LAMBDA_LOG_LEVEL`, `STACK_NAME`).
    pub logging: Logging,
}

impl EventsConfig {
    /// As [`Config::read`].
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let secrets = Secrets::default();
        let mut environment = Environment::new(&variable, &secrets);
        let config = Self {
            bus: environment.required("EVENT_BUS_NAME"),
            eventbridge: environment.connection("AWS_ENDPOINT_URL_EVENTBRIDGE"),
            logging: environment.logging(),
        };
        environment.checked(config)
    }
}

/// The part of the local server's configuration that is in the environment.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// The authorization of callers (`AUTH`, `AUTH_…`); off if `AUTH` is not set.
    pub auth: AuthSettings,
    /// The options of the API (`RESPONSE`, `REPEAT_DETECTION`).
    pub api: ApiOptions,
    /// The connectors by payment interface (`CONNECTORS`), where they are set.
    pub connectors: Option<Connectors>,
    /// The level of the log (`AWS_LAMBDA_LOG_LEVEL`).
    pub log_level: LevelFilter,
}

impl LocalConfig {
    /// As [`Config::read`].
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let secrets = Secrets::default();
        let mut environment = Environment::new(&variable, &secrets);
        let auth = environment.auth(true);
        let api = environment.api();
        let is_set =
            environment.is_set("CONNECTORS") || environment.is_set("CONNECTORS_SECRET_ARN");
        let connectors = is_set.then(|| environment.connectors());
        let log_level = environment.log_level();
        environment.checked(Self { auth, api, connectors, log_level })
    }
}

impl Environment<'_> {
    fn backend(&mut self) -> Backend {
        Backend {
            table: self.required("PAYMENTS_TABLE"),
            dynamodb: self.connection("AWS_ENDPOINT_URL_DYNAMODB"),
            connectors: self.connectors(),
            logging: self.logging(),
        }
    }

    fn connection(&mut self, endpoint_url: &str) -> Connection {
        Connection {
            region: self.required("AWS_REGION"),
            endpoint_url: self.optional(endpoint_url),
            credentials: Credentials::new(
                self.required("AWS_ACCESS_KEY_ID"),
                self.required("AWS_SECRET_ACCESS_KEY"),
                self.optional("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
        }
    }

    fn api(&mut self) -> ApiOptions {
        ApiOptions { response: self.response(), repeat_detection: self.repeat_detection() }
    }

    fn response(&mut self) -> ResponseForm {
        match self.optional("RESPONSE").as_deref() {
            None | Some("empty") => ResponseForm::Empty,
            Some("outcome") => ResponseForm::Outcome,
            Some(_) => {
                self.problem("RESPONSE", "is not one of: empty, outcome");
                ResponseForm::Empty
            }
        }
    }

    fn repeat_detection(&mut self) -> RepeatDetection {
        match self.optional("REPEAT_DETECTION").as_deref() {
            None | Some("key") => RepeatDetection::Key,
            Some("correlation-id") => RepeatDetection::CorrelationId,
            Some(_) => {
                self.problem("REPEAT_DETECTION", "is not one of: key, correlation-id");
                RepeatDetection::Key
            }
        }
    }

    fn logging(&mut self) -> Logging {
        Logging { level: self.log_level(), stack: self.optional("STACK_NAME") }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Authorization;

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Config::read(variable, &Secrets::default())
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
        assert_eq!(config.backend.logging.level, LevelFilter::INFO);
        let connector = &config.backend.connectors["*"];
        assert_eq!(connector.timeout_ms, 20_000);
        assert_eq!(connector.authorization, Authorization::None);
        assert_eq!(connector.projects, None);
    }

    #[test]
    fn a_wrong_value_is_named_with_its_place() {
        for (name, value, expected) in [
            ("AUTH", "off", "AUTH is off, which only the local server may be"),
            ("AUTH", "none", "AUTH is not one of: gateway, jwt, introspection"),
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
