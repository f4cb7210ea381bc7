//! HTTP exchanges whose errors tell if the request was sent. The errors of general HTTP
//! clients do not tell that.
//!
//! A library connects (DNS, TCP, TLS), before anything of the request is sent. During an
//! exchange, no other request uses its connection.

mod connection;

use crate::error::BoxError;
use crate::payment::Timestamp;
use connection::{Connection, NotSent};
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::error::Elapsed;
use tokio::time::timeout_at;

/// The longest idle time after which a connection is used again, by both the monotonic
/// clock and the time of day. A connection that is closed while the process is frozen
/// between invocations is not noticed.
const IDLE_MAX: Duration = Duration::from_secs(3);

/// The highest number of connections that are opened in advance. The first request needs
/// one or two.
const OPENED_MAX: usize = 8;

/// A complete response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The reasons why there is no answer.
#[derive(Debug)]
pub(crate) enum NotAnswered {
    /// Nothing of the request was sent.
    NeverSent(BoxError),
    /// The request may have been sent.
    Lost(BoxError),
}

impl NotAnswered {
    /// The cause, for callers that need not know if the request was sent.
    pub(crate) fn into_cause(self) -> BoxError {
        match self {
            Self::NeverSent(error) | Self::Lost(error) => error,
        }
    }
}

/// The connector of the HTTP library, with TLS for `https` addresses.
pub(crate) type HttpsOrHttp = HttpsConnector<TcpConnector>;

/// An HTTP client that keeps one idle connection per server. It verifies certificates
/// by the system's roots, and follows no redirect. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Transport {
    connector: HttpsOrHttp,
    idle: Arc<Mutex<HashMap<String, Idle>>>,
}

/// An idle connection, and the time of its last use by both clocks.
#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
    at: Timestamp,
}

/// The connector, which verifies servers by the system's certificate roots. The roots are
/// read once per process, because that takes longer than a request.
pub(crate) fn https_or_http() -> Result<HttpsOrHttp, BoxError> {
    static CONNECTOR: OnceLock<HttpsOrHttp> = OnceLock::new();
    if let Some(connector) = CONNECTOR.get() {
        return Ok(connector.clone());
    }
    let mut tcp = TcpConnector::new();
    tcp.enforce_http(false);
    // Without this, a request waits until the server has acknowledged the last message of
    // the handshake.
    tcp.set_nodelay(true);
    let builder = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http();
    let connector = builder.enable_http1().wrap_connector(tcp);
    Ok(CONNECTOR.get_or_init(|| connector).clone())
}

impl Transport {
    /// Creates a client without connections. Reads the system's certificate roots.
    pub fn new() -> Result<Self, BoxError> {
        Ok(Self { connector: https_or_http()?, idle: Arc::default() })
    }

    /// Connects to the servers of these addresses in parallel, for later requests. Sends no
    /// request. Failures are ignored.
    pub(crate) async fn open(
        &self,
        addresses: impl Iterator<Item = &Uri>,
        time: Duration,
        now: Timestamp,
    ) {
        let addresses: HashMap<_, _> = addresses.map(|uri| (origin(uri), uri)).collect();
        let opened = addresses.into_iter().take(OPENED_MAX).map(async |(origin, uri)| {
            if let Ok(Ok(connection)) =
                tokio::time::timeout(time, Connection::open(self.connector.clone(), uri)).await
            {
                self.keep_idle(origin, connection, now);
            }
        });
        join_all(opened).await;
    }

    /// Sends `request` once, and reads the whole answer within `time`. A body of more than
    /// `bytes_max` bytes is an error.
    pub(crate) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        time: Duration,
        bytes_max: usize,
        now: Timestamp,
    ) -> Result<Response, NotAnswered> {
        let started = tokio::time::Instant::now();
        let deadline = started.checked_add(time).unwrap_or(started);
        let uri = request.uri().clone();
        let origin = origin(&uri);
        let mut request = in_origin_form(request).map_err(NotAnswered::NeverSent)?;
        if let Some(recent) = self.take_recent(&origin, now) {
            check_time(deadline)?;
            match recent.send(request, bytes_max, deadline).await {
                Ok((answer, connection)) => {
                    self.keep_idle(origin, connection, now);
                    return Ok(answer);
                }
                Err(NotSent::Lost(error)) => return Err(NotAnswered::Lost(error)),
                // The connection was closed before anything was written. A new one is opened.
                Err(NotSent::Returned(unsent, _)) => request = *unsent,
            }
        }
        let connected = timeout_at(deadline, Connection::open(self.connector.clone(), &uri)).await;
        let connection = connected.map_err(not_connected)?.map_err(NotAnswered::NeverSent)?;
        check_time(deadline)?;
        match connection.send(request, bytes_max, deadline).await {
            Ok((answer, connection)) => {
                self.keep_idle(origin, connection, now);
                Ok(answer)
            }
            Err(NotSent::Lost(error)) => Err(NotAnswered::Lost(error)),
            Err(NotSent::Returned(_, error)) => Err(NotAnswered::NeverSent(error)),
        }
    }

    /// Takes the idle connection to this server, if it was used recently.
    fn take_recent(&self, origin: &str, now: Timestamp) -> Option<Connection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).remove(origin)?;
        let idle_ms = u128::from(now.ms_since(idle.at));
        let is_recent = idle.since.elapsed() < IDLE_MAX && idle_ms < IDLE_MAX.as_millis();
        let usable = is_recent && idle.connection.is_ready();
        usable.then_some(idle.connection)
    }

    fn keep_idle(&self, origin: String, connection: Connection, now: Timestamp) {
        if !connection.is_closed() {
            let idle = Idle { connection, since: Instant::now(), at: now };
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).insert(origin, idle);
        }
    }
}

/// Refuses to send after the deadline. A time-out alone would let the sending begin before
/// it checks the time.
fn check_time(deadline: tokio::time::Instant) -> Result<(), NotAnswered> {
    if tokio::time::Instant::now() < deadline {
        return Ok(());
    }
    Err(NotAnswered::NeverSent("the time was up before anything was sent".into()))
}

fn not_connected(_: Elapsed) -> NotAnswered {
    NotAnswered::NeverSent("no connection was made in time".into())
}

fn origin(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}", uri.scheme_str().unwrap_or("https"))
}

/// The request in origin form: its path and query, and a `Host` header.
fn in_origin_form(mut request: Request<Full<Bytes>>) -> Result<Request<Full<Bytes>>, BoxError> {
    let uri = request.uri();
    let host = uri.authority().ok_or("the URL has no host")?.as_str();
    let host = HeaderValue::try_from(host)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    request.headers_mut().insert(header::HOST, host);
    *request.uri_mut() = path;
    Ok(request)
}
