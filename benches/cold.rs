//! The cold start: from the start of the Lambda's process to its first answer, with TLS to
//! both servers, under an emulated Runtime API.
//!
//! Measures the binary that was built with the bench, or the one that `LAMBDA_BINARY`
//! names, such as the deployed one.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench computes with times, prints, and may panic"
)]
#![allow(missing_docs, unreachable_pub, reason = "a bench is not a library")]

mod harness;
#[path = "harness/quota.rs"]
mod quota;
#[path = "../tests/support/mod.rs"]
mod support;

use harness::stats::{Sorted, Spread, ms};
use harness::world::{self, World};
use harness::{directory, rounds};
use payment_intents::clock::SystemClock;
use payment_intents::payment::PaymentKey;
use payment_intents::ports::Clock;
use quota::Quota;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::lambda::process::set_variables;
use support::lambda::runtime_api::{Invocation, RuntimeApi};
use support::tls::{Authority, Certificate, TlsProxy};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// The memory of a function in MB, which determines its CPU: one whole CPU at 1769 MB.
const MEMORY_MB: [u32; 3] = [128, 512, 1769];

/// The longest wait for a start.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let world = World::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(&world));
}

async fn measure(world: &World) {
    let authority = Authority::new();
    let dynamodb = world.dynamodb.endpoint_url.clone().expect("the emulator's");
    let function = Function {
        binary: binary(),
        roots: roots(&authority),
        dynamodb: start_tls_proxy(&dynamodb, &authority).await,
        connector: start_tls_proxy(&world.sandbox.url().to_string(), &authority).await,
    };
    let client = world.dynamodb.clone().client();
    let count = rounds(30, 1);
    let payments = world::payments(&client, count).await;
    // The first start reads the binary from the disk.
    function.start(&world::payments(&client, 1).await[0], None).await;
    let mut starts = Vec::new();
    for payment in &payments {
        starts.push(function.start(payment, None).await);
    }
    let mut quotas = Vec::new();
    for memory in MEMORY_MB {
        quotas.push((memory, start_with_memory(&function, &client, memory).await));
    }
    report(&function, &starts, &quotas);
}

/// Starts with the CPU of a function of this memory; `None` if this machine cannot limit
/// it.
async fn start_with_memory(
    function: &Function,
    client: &aws_sdk_dynamodb::Client,
    memory: u32,
) -> Option<Spread> {
    let quota = Quota::new(f64::from(memory) / 1769.0)?;
    let mut totals = Vec::new();
    for payment in world::payments(client, rounds(30, 1)).await {
        totals.push(function.start(&payment, Some(&quota)).await.total_ms());
    }
    Some(Sorted::of(totals).spread())
}

/// The usual places of the system's certificates.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A file with the system's certificates and one more, so that a process reads as many as
/// in production.
fn roots(authority: &Authority) -> PathBuf {
    let file = authority.write(&directory());
    let own = fs::read_to_string(&file).expect("a certificate");
    let system = SYSTEM.iter().find_map(|file| fs::read_to_string(file).ok());
    fs::write(&file, system.unwrap_or_default() + &own).expect("a file");
    file
}

/// The TLS address in front of the server at the plain URL `url`.
async fn start_tls_proxy(url: &str, authority: &Authority) -> String {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let address = address.parse().expect("an address");
    TlsProxy::start(authority, Certificate::Valid, address).await.url("")
}

fn binary() -> PathBuf {
    let named = std::env::var_os("LAMBDA_BINARY").map(PathBuf::from);
    named.unwrap_or_else(|| env!("CARGO_BIN_EXE_payment-intents").into())
}

/// The binary and its variables.
struct Function {
    binary: PathBuf,
    roots: PathBuf,
    dynamodb: String,
    connector: String,
}

/// The durations of one start, and the memory of the process.
#[derive(Clone, Copy)]
struct Start {
    /// From the start to the first log line: settings and root certificates are read.
    start_ms: f64,
    /// From there to the request for the first event.
    init_ms: f64,
    /// From the event to its answer.
    first_ms: f64,
    resident_kib: f64,
}

impl Start {
    fn total_ms(&self) -> f64 {
        self.start_ms + self.init_ms + self.first_ms
    }
}

impl Function {
    async fn start(&self, payment: &PaymentKey, quota: Option<&Quota>) -> Start {
        let (invocations, queue) = mpsc::unbounded_channel();
        let (runtime_api, address) = RuntimeApi::start(queue).await;
        let event = world::event(payment);
        let mut begun = Instant::now();
        let mut process = self.spawn(&address, quota);
        let mut log = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        if quota.is_some() {
            // The shell that enters the quota prints a line when it has done so.
            log.next_line().await.expect("a log");
            begun = Instant::now();
        }
        timeout(PATIENCE, log.next_line()).await.expect("it starts").expect("a log");
        let start_ms = ms(begun);
        let rest = tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        timeout(PATIENCE, runtime_api.ready.notified()).await.expect("it starts");
        let init_ms = ms(begun) - start_ms;
        let (answer, answered) = oneshot::channel();
        let deadline_ms = SystemClock.now().plus_ms(world::INVOCATION_MS).ms();
        invocations.send(Invocation { event, deadline_ms, answer }).expect("it listens");
        let asked = Instant::now();
        let posted = timeout(PATIENCE, answered).await.expect("an answer").expect("an answer");
        let first_ms = ms(asked);
        let posted = String::from_utf8_lossy(&posted.expect("it is answered")).into_owned();
        assert!(world::is_approved(&posted), "{posted}");
        let resident_kib = resident_kib(&process);
        process.kill().await.expect("it runs");
        rest.await.expect("the log ends");
        Start { start_ms, init_ms, first_ms, resident_kib }
    }

    fn spawn(&self, runtime_api: &str, quota: Option<&Quota>) -> Child {
        let mut command = match quota {
            None => Command::new(&self.binary),
            Some(quota) => quota.command(&self.binary).into(),
        };
        let connector = json!({"*": {"url": self.connector}}).to_string();
        set_variables(&mut command, runtime_api);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).envs([
            ("PAYMENTS_TABLE", world::TABLE),
            ("CONNECTORS", &connector),
            ("AUTH", "gateway"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.dynamodb),
        ]);
        command.env("SSL_CERT_FILE", &self.roots);
        command.spawn().expect("it can be started")
    }
}

/// The resident memory.
fn resident_kib(process: &Child) -> f64 {
    let file = format!("/proc/{}/status", process.id().expect("it runs"));
    let status = fs::read_to_string(file).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN)
}

fn report(function: &Function, starts: &[Start], quotas: &[(u32, Option<Spread>)]) {
    let spread = |of: fn(&Start) -> f64| Sorted::of(starts.iter().map(of)).spread();
    let total = spread(Start::total_ms);
    let resident = spread(|start| start.resident_kib / 1024.0);
    let bytes = fs::metadata(&function.binary).expect("a binary").len() as f64;
    let mut cells = vec![
        ("cold start", format!("{} starts", starts.len())),
        ("first answer, ms", format!("{total:.1}")),
        ("start, ms", format!("{:.1}", spread(|start| start.start_ms))),
        ("init, ms", format!("{:.1}", spread(|start| start.init_ms))),
        ("first request, ms", format!("{:.1}", spread(|start| start.first_ms))),
        ("resident, MiB", format!("{resident:.1}")),
        ("binary, MB", format!("{:.2}", bytes / 1e6)),
    ];
    let heads: Vec<_> =
        quotas.iter().map(|(memory, _)| format!("ms with the CPU of {memory} MB")).collect();
    let skipped = || "skipped: no cgroup to write to".to_owned();
    let times =
        quotas.iter().map(|(_, time)| time.map_or_else(skipped, |time| format!("{time:.1}")));
    cells.extend(heads.iter().map(String::as_str).zip(times));
    harness::row(&cells);
    harness::result(&format!(
        "cold: p50 {:.1} ms, rss {:.1} MiB, binary {:.1} MB",
        total.median,
        resident.median,
        bytes / 1e6
    ));
}
