//! The first hour with `cargo local`: its options, its errors, what it prints and keeps.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod support;

use payment_intents::local::sandbox::Sandbox;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use support::{AUTHORIZED, Server, amount, capture};
use tempfile::tempdir;
use tokio::process::Command;

/// Runs the server, which must end by itself, and returns what it says.
async fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = Server::command();
    command.args(arguments).envs(variables.iter().copied()).stdin(Stdio::null());
    let ended = command.output().await.unwrap();
    assert_ne!(ended.status.code(), Some(0), "{arguments:?}");
    String::from_utf8(ended.stderr).unwrap()
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_wrong_with_an_option_is_told_in_a_sentence() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let object = file(folder, "object.json", "{}");
    let broken = file(folder, "broken.json", "[\n  {]");
    let wrong = r#"[{"amountPlanned":{"centAmount":1,"currencyCode":"EUR"}},
  {"amountPlanned":{"centAmount":"1","currencyCode":"EUR"}}]"#;
    let wrong = file(folder, "wrong.json", wrong);
    let nameless = r#"[ {"amountPlanned":{"centAmount":1,"currencyCode":"EUR"}}]"#;
    let nameless = file(folder, "nameless.json", nameless);
    let plain = file(folder, "plain.json", r#"{"a":{"url":"http://psp.example"}}"#);
    let damaged = file(folder, "damaged", "SQLite format 3\0and no more");
    let ledger = file(folder, "ledger.sandbox", "{}\n");
    let ledger = ledger.trim_end_matches(".sandbox").to_owned();
    let (text, nowhere, database) = (file(folder, "text", "hello"), path("no/such"), path("db"));
    let local = "http://127.0.0.1:9";
    for (arguments, expected) in [
        (vec!["--data", &nowhere], "there is no such file or directory"),
        (vec!["--data", folder.to_str().unwrap()], "it is a directory"),
        (vec!["--data", &text], "it is not a file of `cargo local`"),
        (vec!["--data", &damaged], "it cannot be opened: "),
        (vec!["--data", &ledger], "line 1 is no effect of the sandbox"),
        (vec!["--data", &database, "--payments", &nameless], "line 1, column 3: with --data it"),
        (vec!["--payments", &nowhere], "there is no such file or directory"),
        (vec!["--payments", &object], "not a JSON array of PaymentDrafts"),
        (vec!["--payments", &broken], "line 2 column 4"),
        (
            vec!["--payments", &wrong],
            "line 2, column 3: The value \"1\" is not valid for field amountPlanned.centAmount.",
        ),
        (vec!["--connector", "ftp://psp"], "the URL is neither https nor http"),
        (vec!["--connector", local, "--profile", "none"], "possible values: template, adyen"),
        (vec!["--connectors", &nowhere], "there is no such file or directory"),
        (vec!["--connectors", &broken], "not a JSON object of connectors"),
        (vec!["--connectors", &plain], "CONNECTORS.a has a url that is plain http"),
        (vec!["--connector-timeout-ms", "99"], "99 is not in 100..=300000"),
        (vec!["--connector-timeout-ms", "300001"], "300001 is not in 100..=300000"),
    ] {
        let said = refused(&arguments, &[]).await;
        for named in [expected, arguments[arguments.len().saturating_sub(2)]] {
            assert!(said.contains(named), "{arguments:?}: {said}");
        }
        for of_a_machine in ["os error", "Os {", "Sqlite", "Error("] {
            assert!(!said.contains(of_a_machine), "{arguments:?}: {said}");
        }
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let server = Server::start().await;
    let (_, port) = server.url.rsplit_once(':').unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    let ended = command.args(["--port", port]).output().await.unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(said.contains(&format!("port {port} of 127.0.0.1 is taken")), "{said}");
    assert!(said.contains("--port"), "{said}");
}

#[tokio::test]
async fn payments_and_the_ledger_of_the_sandbox_outlive_the_process() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("payments.db");
    let arguments = ["--data", file.to_str().unwrap()];
    for run in 1..=2_usize {
        let server = Server::with(&arguments, &[]).await;
        assert_eq!(server.act(AUTHORIZED, capture(1_000), &[]).await.status, 200);
        assert_eq!(server.effects(AUTHORIZED).await.len(), run);
        let transactions = server.transactions(AUTHORIZED).await;
        assert_eq!(transactions.len(), run.saturating_add(1), "{transactions:?}");
        server.kill().await;
    }
}

#[tokio::test]
async fn the_variable_connectors_and_the_file_of_connectors_are_used() {
    let folder = tempdir().unwrap();
    for is_file in [false, true] {
        let psp = Sandbox::start().await.unwrap();
        let url = psp.url().to_string();
        // The demo Payments go to a connector that there is.
        let interface = if is_file { "adyen" } else { "*" };
        let settings = json!({interface: {"url": url.trim_end_matches('/')}}).to_string();
        let file = file(folder.path(), "connectors.json", &settings);
        let server = match is_file {
            true => Server::with(&["--connectors", &file], &[]).await,
            false => Server::with(&[], &[("CONNECTORS", &settings)]).await,
        };
        assert_eq!(server.act(AUTHORIZED, capture(1_000), &[]).await.status, 200);
        assert_eq!(psp.ledger().len(), 1, "{is_file}");
    }
    let both = refused(&["--connector", "http://127.0.0.1:9"], &[("CONNECTORS", "{}")]).await;
    assert!(both.contains("are both set"), "{both}");
}

#[tokio::test]
async fn a_profile_decides_what_the_answers_of_a_connector_prove() {
    let psp = Sandbox::start().await.unwrap();
    let url = psp.url().to_string();
    let mut rejected = amount("capturePayment", 1_000, "EUR");
    rejected["merchantReference"] = "sandbox:rejected".into();
    let connector = ["--connector", url.as_str()];
    for (arguments, expected) in [
        (connector.to_vec(), (400, "PaymentFailure")),
        ([&connector[..], &["--profile", "template"]].concat(), (500, "General")),
    ] {
        let server = Server::with(&arguments, &[]).await;
        let reply = server.act(AUTHORIZED, rejected.clone(), &[]).await;
        assert_eq!(reply.outcome(), expected, "{arguments:?}");
    }
}

#[tokio::test]
async fn the_lines_to_try_work_as_they_are_printed() {
    let psp = Sandbox::start().await.unwrap();
    let url = psp.url().to_string();
    for arguments in [vec![], vec!["--connector", &url]] {
        let server = Server::with(&arguments, &[]).await;
        let tried = server.welcome.iter().filter(|line| line.trim_start().starts_with("curl "));
        let tried: Vec<_> = tried.collect();
        let mut answers = Vec::new();
        for line in &tried {
            let ran = Command::new("sh").args(["-c", &format!("{line} --silent")]).output();
            let answer = String::from_utf8(ran.await.unwrap().stdout).unwrap();
            assert!(answer.ends_with('\n'), "{line}: {answer:?}");
            answers.push(serde_json::from_str::<Value>(&answer).unwrap());
        }
        assert_eq!(answers[0], json!({}));
        assert_eq!(answers[1]["errors"][0]["code"], "InvalidOperation");
        assert_eq!(answers[2], json!({}));
        assert_eq!(answers[3]["id"], AUTHORIZED);
        let is_sandbox = arguments.is_empty();
        assert_eq!(answers.len(), if is_sandbox { 5 } else { 4 });
        assert_eq!(tried[0].contains("Authorization: Bearer "), !is_sandbox);
        let advertised = server.welcome.iter().any(|line| line.contains("sandbox"));
        assert_eq!(advertised, is_sandbox, "{:?}", server.welcome);
        let ledger = server.get("/sandbox/ledger").await;
        assert_eq!(ledger.status, if is_sandbox { 200 } else { 404 });
    }
    assert_eq!(psp.ledger().len(), 2);
}

#[tokio::test]
async fn a_token_has_the_scope_that_was_asked_for_in_any_project() {
    let server = Server::start().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let asked = "grant_type=client_credentials&scope=manage_payments%3Aacme";
    let granted = server.send("POST", "/oauth/token", &form, asked).await.body;
    assert_eq!(granted["scope"], "manage_payments:acme");
    let token = format!("token={}", granted["access_token"].as_str().unwrap());
    let shown = server.send("POST", "/oauth/introspect", &form, token).await.body;
    assert_eq!(shown["scope"], "manage_payments:acme");
    let draft = json!({"amountPlanned": {"centAmount": 1, "currencyCode": "EUR"}}).to_string();
    let json = [("content-type", "application/json")];
    assert_eq!(server.send("POST", "/acme/payments", &json, draft).await.status, 201);
    // A token from elsewhere is good in every project that was asked for.
    let shown = server.send("POST", "/oauth/introspect", &form, "token=any").await.body;
    assert_eq!(shown["scope"], "manage_project:acme manage_project:demo");
}

#[tokio::test]
async fn an_interrupt_lets_the_calls_in_flight_end() {
    let psp = Sandbox::start().await.unwrap();
    let url = psp.url().to_string();
    let server = Server::with(&["--connector", &url], &[]).await;
    let mut slow = amount("capturePayment", 1_000, "EUR");
    slow["merchantReference"] = "sandbox:slow".into();
    let answered = server.act(AUTHORIZED, slow, &[]);
    let interrupt = async {
        while psp.ledger().is_empty() {
            tokio::task::yield_now().await;
        }
        server.interrupt().await;
    };
    let (reply, ()) = tokio::join!(answered, interrupt);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(server.ended().await, Some(0));
}

#[tokio::test]
async fn the_log_has_one_line_for_each_action() {
    let folder = tempdir().unwrap();
    for (format, expected) in [("text", 1), ("json", 2)] {
        let path = folder.path().join(format);
        let mut command = Server::command();
        command.args(["--log", format]).stderr(fs::File::create(&path).unwrap());
        let server = Server::run(command).await;
        let reply = server.act(AUTHORIZED, capture(4_000), &[]).await;
        let correlation_id = reply.header("x-correlation-id").unwrap().to_owned();
        server.kill().await;
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), expected, "{text}");
        if format == "text" {
            for part in ["  200  ", "capturePayment", " 40.00 EUR ", AUTHORIZED, " ms"] {
                assert!(lines[0].contains(part), "{text}");
            }
        } else {
            let parsed = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let answered = parsed.filter(|line| line["message"] == "a request was answered");
            let ids: Vec<_> = answered.map(|line| line["correlation_id"].clone()).collect();
            assert_eq!(ids, [correlation_id]);
        }
    }
}

#[tokio::test]
async fn the_contract_for_machines_is_served() {
    let server = Server::start().await;
    let url = format!("{}/openapi.yaml", server.url);
    let served = Command::new("curl").args(["--silent", "--fail", &url]).output().await.unwrap();
    let kept = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.yaml")).unwrap();
    assert!(served.status.success() && served.stdout == kept);
    for (accept, expected) in
        [("*/*", "application/yaml"), ("text/html,*/*", "text/plain; charset=utf-8")]
    {
        let accept = format!("Accept: {accept}");
        let asked = ["--silent", "-o", "/dev/null", "-w", "%{content_type}", "-H", &accept, &url];
        let answer = Command::new("curl").args(asked).output().await.unwrap();
        assert_eq!(String::from_utf8(answer.stdout).unwrap(), expected);
    }
}

#[tokio::test]
async fn every_option_is_explained_in_the_documents() {
    let help = Command::new(env!("CARGO_BIN_EXE_local")).arg("--help").output().await.unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let document = fs::read_to_string(document).unwrap();
    let options = help.lines().map(str::trim).filter(|line| line.starts_with("--"));
    let options: Vec<_> = options.map(|line| line.split(' ').next().unwrap()).collect();
    assert!(options.len() >= 8, "{help}");
    for option in options {
        let is_explained = |end: &str| document.contains(&format!("| `{option}{end}"));
        assert!(is_explained(" ") || is_explained("`"), "docs/api.md lacks {option}");
    }
}
