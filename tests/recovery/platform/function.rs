//! A built binary under an emulated Runtime API, and its output.

use crate::support::lambda::process::Process;
use serde_json::Value;
use tempfile::NamedTempFile;

/// The time of an invocation, as deployed.
const TIMEOUT_MS: u64 = 28_000;

pub struct Function {
    process: Process,
    log: NamedTempFile,
}

impl Function {
    /// Starts it with these variables, a gateway in front of it, and all log levels on.
    pub async fn start(binary: &str, variables: &[(&str, &str)]) -> Self {
        let always = [("AWS_LAMBDA_LOG_LEVEL", "TRACE"), ("AUTH", "gateway")];
        let log = NamedTempFile::new().unwrap();
        let process =
            Process::start(&binary.into(), &[&always, variables].concat(), log.path()).await;
        Self { process, log }
    }

    pub async fn invoke(&self, event: &Value) -> Value {
        let posted = self.process.hand_over(TIMEOUT_MS, event.to_string()).await.unwrap();
        serde_json::from_slice(&posted.unwrap()).unwrap()
    }

    /// Ends it. Returns its output, each line of which is JSON.
    pub async fn lines(mut self) -> Vec<Value> {
        self.process.child.kill().await.unwrap();
        let printed = std::fs::read_to_string(self.log.path()).unwrap();
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
