//! The configuration of AWS clients: region, credentials, time-outs, retries, and the HTTP
//! client.

mod client;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_types::SdkConfig;
use std::time::Duration;

const ATTEMPTS_MAX: u32 = 3;
/// The pause before a request is repeated; longer each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The address and credentials of one service of AWS.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The AWS region.
    pub region: String,
    /// An address that replaces that of the region, for an emulator or a VPC endpoint.
    pub endpoint_url: Option<String>,
    /// The credentials that sign the requests. Their debug output is redacted.
    pub credentials: Credentials,
}

impl Connection {
    /// The configuration of a client, with the time limits of one attempt and of all. A
    /// client connects when it is first used.
    pub(crate) fn sdk_config(self, attempt: Duration, operation: Duration) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(attempt)
            .operation_attempt_timeout(attempt)
            .operation_timeout(operation)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS_MAX)
            .with_initial_backoff(FIRST_PAUSE);
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region))
            .credentials_provider(SharedCredentialsProvider::new(self.credentials))
            .timeout_config(timeouts)
            .retry_config(retries);
        config.set_http_client(client::http_client());
        config.set_endpoint_url(self.endpoint_url);
        config.build()
    }
}
