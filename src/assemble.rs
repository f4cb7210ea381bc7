//! The service that the Lambdas run: built from the configuration, over the real
//! store and the real connectors.

use crate::clock::SystemClock;
use crate::config::Backend;
use crate::connector::HttpConnector;
use crate::dynamodb::DynamoStore;
use crate::service::Service;
use crate::transport::Transport;
use std::time::Duration;

/// The service over the real store and the real connectors.
pub type RealService = Service<DynamoStore, HttpConnector<SystemClock>, SystemClock>;

impl Backend {
    /// The service over the real store and the real connectors. Nothing is connected
    /// yet.
    pub fn service(self, transport: Transport) -> RealService {
        let store = DynamoStore::new(self.dynamodb.client(), self.table);
        let connector = HttpConnector::new(self.connectors, transport, SystemClock);
        Service::new(store, connector, SystemClock)
    }
}

impl RealService {
    /// Connects before the first request to what that will need, as far as it can
    /// be done in `time`.
    pub async fn open_connections(&self, time: Duration) {
        let store = self.store.open_connection(time);
        let connectors = self.connector.open_connections(time);
        tokio::join!(store, connectors);
    }
}
