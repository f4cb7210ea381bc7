//! A built binary as Lambda runs it, and everything that it prints.

use crate::api::{Invocation, Posted, RuntimeApi};
use payment_intents::clock::SystemClock;
use payment_intents::ports::Clock;
use serde_json::Value;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

pub struct Function {
    process: Child,
    invocations: mpsc::UnboundedSender<Invocation>,
}

impl Function {
    pub async fn start(binary: &str, variables: &[(&str, &str)]) -> Self {
        let (invocations, queue) = mpsc::unbounded_channel();
        let (_, runtime_api) = RuntimeApi::start(queue).await;
        let mut command = Command::new(binary);
        command.env_clear().kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = command
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
            .envs([
                ("AWS_LAMBDA_FUNCTION_NAME", "payment-intents"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "local"),
                ("AWS_SECRET_ACCESS_KEY", "local"),
                ("AUTH", "gateway"),
            ])
            .envs(variables.iter().copied())
            .spawn()
            .unwrap();
        Self { process, invocations }
    }

    pub async fn invoke(&self, event: &Value) -> Value {
        let (answer, answered) = oneshot::channel();
        let deadline_ms = SystemClock.now().plus_ms(28_000).ms();
        self.invocations
            .send(Invocation { event: event.to_string(), deadline_ms, answer })
            .unwrap();
        let posted: Posted = answered.await.unwrap();
        serde_json::from_slice(&posted.unwrap()).unwrap()
    }

    /// Ends it. Each line that it wrote is JSON.
    pub async fn lines(mut self) -> Vec<Value> {
        self.process.start_kill().unwrap();
        let mut lines = Vec::new();
        let mut output = BufReader::new(self.process.stdout.take().unwrap()).lines();
        while let Some(line) = output.next_line().await.unwrap() {
            lines.push(serde_json::from_str(&line).unwrap());
        }
        let mut errors = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut errors).await.unwrap();
        assert_eq!(errors, "");
        lines
    }
}
