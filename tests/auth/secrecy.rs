//! Secrets are not printed by any process of this suite.

use crate::identity::record::{KEEP, SECRETS, remember, secret};
use crate::issuer::{ALL, Issuer, claims};
use crate::stage::{Stage, with_token};
use crate::support::lambda::events::{act, header};
use crate::support::lambda::panicking::{self, PANICKING_AMOUNT};
use crate::support::{AUTHORIZED, capture, with_reference};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::process::{Command, Stdio};

/// A text that is no secret: the search must find it.
const CORRELATION_ID: &str = "nothing-to-hide-1001";

/// The message of the panic contains the whole request.
#[tokio::test]
async fn neither_a_success_nor_a_failure_logs_request_contents() {
    if panicking::is_this_process() {
        return panicking::serve().await;
    }
    let issuer = Issuer::start().await;
    let stage = Stage::start(issuer.variables()).await;
    let this = "secrecy::neither_a_success_nor_a_failure_logs_request_contents";
    let panicking = Stage::of(panicking::program(this), issuer.variables()).await;
    for (stage, cent_amount, expected) in
        [(&stage, 1, 200), (&panicking, 1, 200), (&panicking, PANICKING_AMOUNT, 500)]
    {
        let event = act(AUTHORIZED, with_reference(capture(cent_amount), &secret("reference")));
        let event = header(event, "idempotency-key", secret("key"));
        let event = header(event, "cookie", secret("cookie"));
        let event = header(event, "x-correlation-id", CORRELATION_ID);
        let reply = stage.invoke(&with_token(&issuer.ec.token(&claims(ALL)), event)).await;
        assert_eq!(reply.status, expected, "{cent_amount}: {reply:?}");
    }
    // Nor does an event that is not JSON.
    let lost = remember("this-is-no-event-of-a-gateway");
    for stage in [stage, panicking] {
        let posted = stage.function.invoke(20_000, format!("{{\"{lost}\":")).await;
        assert!(posted.is_some(), "the process goes on");
    }
}

/// Runs the rest of this suite again and searches all output of its processes.
#[test]
fn nothing_secret_is_printed_by_any_process_of_this_suite() {
    let directory = tempfile::tempdir().unwrap();
    let suite = Command::new(std::env::current_exe().unwrap())
        .args(["--test-threads", "8", "--nocapture", "--skip", "nothing_secret_is_printed"])
        // These tests start no other process.
        .args(["--skip", "cache::", "--skip", "mutations::", "--skip", "rotation::"])
        .env(KEEP, directory.path())
        .envs([("RUST_LOG", "trace"), ("RUST_BACKTRACE", "1")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&suite.stdout).into_owned();
    let errors = String::from_utf8_lossy(&suite.stderr);
    assert!(suite.status.success(), "{said}\n{errors}");

    let secrets = std::fs::read_to_string(directory.path().join(SECRETS)).unwrap();
    let secrets = secrets.lines().collect::<BTreeSet<_>>();
    let mut outputs = outputs(directory.path());
    outputs.insert("the suite".to_owned(), said + &errors);
    // The search would find nothing if nothing had been printed.
    assert!(secrets.len() > 400, "{} secrets", secrets.len());
    assert!(outputs.len() > 100, "{} processes", outputs.len());
    let all = outputs.values().map(String::as_str).collect::<String>();
    for (line, least) in [
        ("\"message\":\"a caller was refused\"", 400),
        ("\"message\":\"a request failed\"", 50),
        ("\"message\":\"a call to the connector ended\"", 100),
        ("\"message\":\"a transaction changed its state\"", 100),
        ("\"message\":\"the issuer's keys cannot be fetched\"", 5),
        ("\"message\":\"the function panicked\"", 1),
        ("\"message\":\"recovery looked at the open transactions\"", 3),
        ("invalid configuration: ", 30),
        ("listening on http://127.0.0.1:", 4),
        ("authorization is off", 3),
        (CORRELATION_ID, 1),
    ] {
        let found = all.matches(line).count();
        assert!(found >= least, "{found} times {line}");
    }
    assert_eq!(found(&[CORRELATION_ID].into(), &all), [CORRELATION_ID]);

    for (file, output) in &outputs {
        let found = found(&secrets, output);
        assert!(found.is_empty(), "{file} has {found:?}");
    }
}

/// The output of each process, by file.
fn outputs(directory: &Path) -> HashMap<String, String> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let outputs = files.filter(|path| path.extension().is_some_and(|is| is == "output"));
    let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    outputs.map(|path| (path.display().to_string(), read(&path))).collect()
}

/// The secrets that the text contains, each at least [`BEGINNING`] bytes long. One pass
/// over the text, since there are many secrets and much text.
fn found<'a>(secrets: &BTreeSet<&'a str>, text: &str) -> Vec<&'a str> {
    const BEGINNING: usize = 8;
    let mut by_beginning = HashMap::<&[u8], Vec<&str>>::new();
    for secret in secrets {
        by_beginning.entry(&secret.as_bytes()[..BEGINNING]).or_default().push(secret);
    }
    let mut found = BTreeSet::new();
    for (at, window) in text.as_bytes().windows(BEGINNING).enumerate() {
        let candidates = by_beginning.get(window).into_iter().flatten();
        found.extend(
            candidates.filter(|secret| text.as_bytes()[at..].starts_with(secret.as_bytes())),
        );
    }
    found.into_iter().collect()
}
