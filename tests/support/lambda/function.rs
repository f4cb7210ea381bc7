//! A function that a test may kill at any moment. As in Lambda, it is started again, and
//! the event in progress is lost.

use super::process::{Process, Program};
use super::reply;
use super::runtime_api::Posted;
use crate::support::Reply;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::sleep;

/// A program with its environment: one process at a time, and one event at a time.
pub struct Function {
    program: Program,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
    turn: Mutex<()>,
    running: Mutex<Running>,
    /// Notified whenever an event is handed out.
    pub handed_out: Notify,
}

struct Running {
    process: Process,
    /// Closed when another process has replaced this one.
    alive: watch::Sender<()>,
}

impl Function {
    /// Starts it. Its output is appended to `log`.
    pub async fn start(
        program: impl Into<Program>,
        environment: &[(&'static str, String)],
        log: PathBuf,
    ) -> Self {
        let (program, environment) = (program.into(), environment.to_vec());
        let running = Mutex::new(Running::start(&program, &environment, &log).await);
        let (turn, handed_out) = (Mutex::default(), Notify::new());
        Self { program, environment, log, turn, running, handed_out }
    }

    /// The answer to an event of API Gateway; `None` if the process ended before.
    pub async fn request(&self, left_ms: u64, event: &Value) -> Option<Reply> {
        let posted = self.invoke(left_ms, event.to_string()).await?;
        Some(reply(&posted.expect("each event is answered")))
    }

    /// The response to an event, or the reported error; `None` if the process ended before.
    /// A process that misses the deadline is killed.
    pub async fn invoke(&self, left_ms: u64, event: String) -> Option<Posted> {
        let _turn = self.turn.lock().await;
        let running = self.running.lock().await;
        let mut alive = running.alive.subscribe();
        let answered = running.process.hand_over(left_ms, event);
        drop(running);
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

    /// Kills the process as `kill -9` does, and starts another.
    pub async fn crash(&self) {
        let mut running = self.running.lock().await;
        running.process.child.kill().await.unwrap();
        *running = Running::start(&self.program, &self.environment, &self.log).await;
    }
}

impl Running {
    async fn start(program: &Program, environment: &[(&str, String)], log: &Path) -> Self {
        let process = Process::start(program, environment, log).await;
        Self { process, alive: watch::Sender::default() }
    }
}
