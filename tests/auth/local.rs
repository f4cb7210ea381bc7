//! The `local` binary: authorization is off, unless `AUTH` says otherwise.

use crate::identity::record::output;
use crate::issuer::{ALL, Issuer, claims};
use crate::service::TokenService;
use crate::stage::{Variables, verbose};
use crate::support::{AUTHORIZED, Server, capture};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// The server. It ends with the test.
struct Local(Server);

impl Local {
    async fn start(variables: &Variables) -> Self {
        let mut command = command(variables);
        command.stderr(file());
        let server = Server::run(command).await;
        file().write_all(server.welcome.join("\n").as_bytes()).unwrap();
        Self(server)
    }

    /// Captures one cent.
    async fn capture(&self, authorization: Option<&str>) -> (u16, Value) {
        let authorization = authorization.map(|value| ("authorization", value));
        let headers: Vec<_> = authorization.into_iter().collect();
        let reply = self.0.act(AUTHORIZED, capture(1), &headers).await;
        (reply.status, reply.body)
    }

    /// The number of lines with this text that it printed when it started.
    fn says(&self, text: &str) -> usize {
        self.0.welcome.iter().filter(|line| line.contains(text)).count()
    }
}

fn command(variables: &Variables) -> Command {
    let mut command = Server::command();
    command.env_clear().envs(verbose()).envs(variables.iter().cloned());
    command
}

fn file() -> File {
    OpenOptions::new().create(true).append(true).open(output()).unwrap()
}

#[tokio::test]
async fn authorization_is_off_on_localhost_and_one_line_says_so() {
    let off = vec![("AUTH", "off".to_owned())];
    let empty = vec![("AUTH", String::new()), ("AUTH_ISSUER", String::new())];
    for variables in [vec![], off, empty] {
        let local = Local::start(&variables).await;
        assert_eq!((local.says("authorization is off"), local.says("authorization is on")), (1, 0));
        assert_eq!(local.capture(None).await, (200, json!({})));
        assert_eq!(local.capture(Some("Bearer abcdefgh")).await, (200, json!({})));
    }
}

#[tokio::test]
async fn authorization_is_on_where_it_is_configured() {
    let (issuer, service) = (Issuer::start().await, TokenService::start().await);
    let grants = |scope: &str| [issuer.rsa.token(&claims(scope)), service.grant(scope)];
    let tokens = grants(ALL).into_iter().zip(grants("view_payments:demo"));
    for (variables, (good, poor)) in [issuer.variables(), service.variables()].iter().zip(tokens) {
        let local = Local::start(variables).await;
        assert_eq!((local.says("authorization is off"), local.says("authorization is on")), (0, 1));
        for (authorization, status, code) in [
            (None, 401, "access_denied"),
            (Some("Bearer abcdefgh".to_owned()), 401, "invalid_token"),
            (Some(format!("Bearer {poor}")), 403, "insufficient_scope"),
        ] {
            let (answered, body) = local.capture(authorization.as_deref()).await;
            assert_eq!((answered, &body["error"]), (status, &json!(code)), "{authorization:?}");
        }
        let good = format!("Bearer {good}");
        assert_eq!(local.capture(Some(&good)).await, (200, json!({})));
    }
}

#[tokio::test]
async fn settings_that_need_aws_are_refused_on_localhost() {
    let issuer = Issuer::start().await;
    let one = |name: &'static str, value: &str| vec![(name, value.to_owned())];
    for (variables, expected) in [
        (one("AUTH", "gateway"), "AUTH is gateway, but the local server is not behind API Gateway"),
        (one("AUTH", "none"), "AUTH is not one of"),
        (one("AUTH_ISSUER", "https://tokens.example"), "AUTH_ISSUER has no meaning with AUTH=off"),
        (one("AUTH", "jwt"), "AUTH_ISSUER is missing; AUTH_AUDIENCE is missing; AUTH_JWKS_URL"),
        (
            vec![
                ("AUTH", "introspection".to_owned()),
                ("AUTH_INTROSPECTION_URL", issuer.identity.url("/introspect")),
                ("AUTH_CLIENT_ID", "us".to_owned()),
                ("AUTH_CLIENT_SECRET_ARN", "arn:aws:secretsmanager".to_owned()),
            ],
            "AUTH_CLIENT_SECRET_ARN can only be read in a Lambda",
        ),
    ] {
        let ended = timeout(Duration::from_secs(20), command(&variables).output()).await;
        let ended = ended.expect("it ends").unwrap();
        file().write_all(&ended.stderr).unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(ended.stdout.is_empty(), "{variables:?}");
    }
}
