//! A function that may die at any moment, and is started again, as Lambda does
//! it: what it was at is lost, and nobody hands it over a second time.

use super::api::{Invocation, Posted, RuntimeApi};
use super::{PATIENCE, command, reply};
use crate::support::Reply;
use payment_intents::clock::SystemClock;
use payment_intents::ports::Clock;
use serde_json::Value;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Child;
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

/// One of the binaries in an environment: one process at a time, and one event
/// at a time.
pub struct Function {
    binary: &'static str,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
    turn: Mutex<()>,
    process: Mutex<Process>,
    /// Told whenever an event is handed out.
    pub handed_out: Notify,
}

struct Process {
    child: Child,
    invocations: mpsc::UnboundedSender<Invocation>,
    /// Closed when another one has taken its place.
    alive: watch::Sender<()>,
}

impl Function {
    /// Starts it. What it logs goes to the end of `log`.
    pub async fn start(
        binary: &'static str,
        environment: &[(&'static str, String)],
        log: PathBuf,
    ) -> Self {
        let environment = environment.to_vec();
        let process = Mutex::new(Process::start(binary, &environment, &log).await);
        let (turn, handed_out) = (Mutex::default(), Notify::new());
        Self { binary, environment, log, turn, process, handed_out }
    }

    /// What it answers to an event of API Gateway; `None` where it died over it.
    pub async fn request(&self, left_ms: u64, event: &Value) -> Option<Reply> {
        let posted = self.invoke(left_ms, event.to_string()).await?;
        Some(reply(&posted.expect("each event is answered")))
    }

    /// What it posts for an event; `None` where it died over it. One that is not
    /// ready at its deadline is killed.
    pub async fn invoke(&self, left_ms: u64, event: String) -> Option<Posted> {
        let _turn = self.turn.lock().await;
        let (answer, answered) = oneshot::channel();
        let process = self.process.lock().await;
        let mut alive = process.alive.subscribe();
        let deadline_ms = SystemClock.now().plus_ms(left_ms).ms();
        process.invocations.send(Invocation { event, deadline_ms, answer }).unwrap();
        drop(process);
        self.handed_out.notify_waiters();
        tokio::select! {
            posted = answered => posted.ok(),
            _ = alive.changed() => None,
            () = sleep(Duration::from_millis(left_ms)) => {
                self.crash().await;
                None
            }
        }
    }

    /// `kill -9`, and a new start.
    pub async fn crash(&self) {
        let mut process = self.process.lock().await;
        process.child.kill().await.unwrap();
        *process = Process::start(self.binary, &self.environment, &self.log).await;
    }
}

impl Process {
    /// Starts it, and waits until it is ready for events.
    async fn start(binary: &str, environment: &[(&str, String)], log: &PathBuf) -> Self {
        let (invocations, queue) = mpsc::unbounded_channel();
        let (runtime_api, address) = RuntimeApi::start(queue).await;
        let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = command(binary, &address)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        timeout(PATIENCE, runtime_api.ready.notified()).await.expect("it starts");
        Self { child, invocations, alive: watch::Sender::default() }
    }
}
