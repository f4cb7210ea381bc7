//! One process of a built binary, as Lambda starts it.

use super::PATIENCE;
use super::runtime_api::{Invocation, Posted, RuntimeApi};
use payment_intents::clock::SystemClock;
use payment_intents::ports::Clock;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// An executable and its arguments.
#[derive(Clone)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
}

impl From<&str> for Program {
    fn from(path: &str) -> Self {
        Self { path: path.into(), arguments: Vec::new() }
    }
}

impl Program {
    /// The command with the variables that Lambda sets for every function, and no others.
    pub fn command(&self, runtime_api: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments);
        set_variables(&mut command, runtime_api);
        command
    }
}

pub struct Process {
    pub child: Child,
    invocations: mpsc::UnboundedSender<Invocation>,
}

impl Process {
    /// Starts the program, and waits until it asks for an event. Its output is appended
    /// to `log`.
    pub async fn start<V: AsRef<str>>(
        program: &Program,
        variables: &[(&str, V)],
        log: &Path,
    ) -> Self {
        let (invocations, queue) = mpsc::unbounded_channel();
        let (runtime_api, address) = RuntimeApi::start(queue).await;
        let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = program
            .command(&address)
            .envs(variables.iter().map(|(name, value)| (name, value.as_ref())))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        timeout(PATIENCE, runtime_api.ready.notified()).await.expect("it starts");
        Self { child, invocations }
    }

    /// Queues an event that is to be answered within `left_ms`.
    pub fn hand_over(&self, left_ms: u64, event: String) -> oneshot::Receiver<Posted> {
        let (answer, answered) = oneshot::channel();
        let deadline_ms = SystemClock.now().plus_ms(left_ms).ms();
        self.invocations.send(Invocation { event, deadline_ms, answer }).unwrap();
        answered
    }
}

/// Gives a command the variables that Lambda sets for every function, and no others.
pub fn set_variables(command: &mut Command, runtime_api: &str) {
    command.env_clear().kill_on_drop(true).env("AWS_LAMBDA_RUNTIME_API", runtime_api).envs([
        ("AWS_LAMBDA_FUNCTION_NAME", "payment-intents"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/payment-intents"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/22/[$LATEST]0"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ]);
}
