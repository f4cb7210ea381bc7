//! The HTTP client of the AWS SDK, over the connector of [`transport`](crate::transport):
//! all requests use the same TLS, and the system's roots are in memory once. With the SDK's
//! own client (`aws-smithy-http-client`, `rustls-ring`) the binary has 8.2 MB, not 7.1.

use crate::transport::{HttpsOrHttp, https_or_http};
use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;

/// The HTTP client for the SDK. It has no time-outs, because those of an attempt include
/// the time to connect. `None` if the system has no roots.
pub(super) fn http_client() -> Option<SharedHttpClient> {
    let mut builder = Client::builder(TokioExecutor::new());
    let client = builder.pool_timer(TokioTimer::new()).build(https_or_http().ok()?);
    Some(SharedHttpClient::new(Sdk(SharedHttpConnector::new(Pool(client)))))
}

#[derive(Debug)]
struct Sdk(SharedHttpConnector);

impl HttpClient for Sdk {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.clone()
    }
}

#[derive(Clone, Debug)]
struct Pool(Client<HttpsOrHttp, SdkBody>);

impl HttpConnector for Pool {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let connection = capture_connection(&mut request);
        if let Some(captured) = request.extensions().get::<CaptureSmithyConnection>() {
            captured.set_connection_retriever(move || metadata(&connection));
        }
        let answered = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let response = answered.await.map_err(connector_error)?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Lets the SDK close the connection of a failed attempt.
fn metadata(connection: &CaptureConnection) -> Option<ConnectionMetadata> {
    connection.connection_metadata().as_ref()?;
    let connection = connection.clone();
    let poison = move || {
        if let Some(connected) = connection.connection_metadata().as_ref() {
            connected.poison();
        }
    };
    Some(ConnectionMetadata::builder().proxied(false).poison_fn(poison).build())
}

/// Classifies an error as the SDK's own clients do. The SDK repeats an attempt depending
/// on that.
fn connector_error(error: ClientError) -> ConnectorError {
    let is_io = cause::<std::io::Error>(&error).is_some();
    let kind: fn(Box<dyn Error + Send + Sync>) -> ConnectorError =
        match cause::<hyper::Error>(&error) {
            Some(cause) if cause.is_timeout() => ConnectorError::timeout,
            Some(cause) if cause.is_user() => ConnectorError::user,
            Some(cause) if cause.is_closed() || cause.is_canceled() || is_io => ConnectorError::io,
            Some(cause) if cause.is_incomplete_message() => {
                |error| ConnectorError::other(error, Some(ErrorKind::TransientError))
            }
            None if error.is_connect() || is_io => ConnectorError::io,
            Some(_) | None => |error| ConnectorError::other(error, None),
        };
    kind(error.into())
}

/// The first error of type `E` among an error and its causes.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
