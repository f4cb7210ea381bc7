//! The assembly of the service from the configuration, for the Lambdas.

use crate::clock::SystemClock;
use crate::config::Backend;
use crate::connector::HttpConnector;
use crate::dynamodb::DynamoStore;
use crate::service::Service;
use crate::transport::Transport;
use std::time::Duration;

/// The service over DynamoDB and connectors over HTTP.
pub type RealService = Service<DynamoStore, HttpConnector<SystemClock>, SystemClock>;

impl Backend {
    /// The service of this configuration, without open connections.
    pub fn service(self, transport: Transport) -> RealService {
        let store = DynamoStore::new(self.dynamodb.client(), self.table);
        let connector = HttpConnector::new(self.connectors, transport, SystemClock);
        Service::new(store, connector, SystemClock)
    }
}

impl RealService {
    /// Opens connections to the store and the connectors within `time`.
    pub async fn open_connections(&self, time: Duration) {
        let store = self.store.open_connection(time);
        let connectors = self.connector.open_connections(time);
        tokio::join!(store, connectors);
    }
}
