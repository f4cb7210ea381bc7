//! Reading variables one by one. The problems of all variables are collected.

use crate::error::causes;
use crate::secrets_manager::{SecretVariable, Secrets, Unread};
use std::fmt;

/// The variables, the secrets that they name, and the problems found so far.
pub(super) struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    secrets: &'a Secrets,
    problems: Vec<String>,
}

impl<'a> Environment<'a> {
    pub(super) fn new(variable: &'a dyn Fn(&str) -> Option<String>, secrets: &'a Secrets) -> Self {
        Self { variable, secrets, problems: Vec::new() }
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.optional(name).is_some()
    }

    /// A setting that may be a secret. Empty if the secret is pending.
    pub(super) fn secret(&mut self, name: SecretVariable) -> String {
        let (plain, arn) = (name.plain(), name.arn());
        match self.secrets.get(name) {
            None if self.is_set(arn) => {
                self.problem(arn, "can only be read in a Lambda");
                String::new()
            }
            None => self.required(plain),
            Some(_) if self.is_set(plain) => {
                self.problem(plain, format_args!("and {arn} are both set"));
                String::new()
            }
            Some(Ok(secret)) if secret.reveal().is_empty() => {
                self.problem(arn, "names a secret that is empty");
                String::new()
            }
            Some(Ok(secret)) => secret.reveal().to_owned(),
            Some(Err(Unread::NotYet(_))) => String::new(),
            Some(Err(Unread::Failed(error))) => {
                let error = causes(error.as_ref());
                self.problem(arn, format_args!("cannot be read: {error}"));
                String::new()
            }
        }
    }

    pub(super) fn optional(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&mut self, name: &str) -> String {
        let value = self.optional(name);
        if value.is_none() {
            self.problem(name, "is missing");
        }
        value.unwrap_or_default()
    }

    /// Notes a problem of a variable.
    pub(super) fn problem(&mut self, name: &str, problem: impl fmt::Display) {
        self.problems.push(format!("{name} {problem}"));
    }

    /// `read`, if no problem was noted.
    pub(super) fn checked<T>(self, read: T) -> Result<T, ConfigError> {
        match self.problems {
            problems if problems.is_empty() => Ok(read),
            problems => Err(ConfigError { problems }),
        }
    }
}

/// All problems of the environment.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid configuration: {}", self.problems.join("; "))
    }
}

/// The text that is printed if `main` returns this error.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}
