//! One HTTP exchange. Its errors say whether the request was sent, which those of
//! general HTTP clients do not.
//!
//! Connecting (DNS, TCP, TLS) is the library's, and over before anything is
//! sent. The exchange runs on one connection that no other request uses meanwhile.

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

/// A connection dies unseen while the process is frozen between invocations, so
/// only one that was used this recently, by either clock, is used again.
const IDLE_MAX: Duration = Duration::from_secs(3);

/// The number of connections that are opened ahead at most: the first request needs
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
    /// Not a byte of the request was sent.
    NeverSent(BoxError),
    /// Some of it may have been.
    Lost(BoxError),
}

impl NotAnswered {
    /// The cause, for callers to whom it makes no difference whether it was sent.
    pub(crate) fn into_cause(self) -> BoxError {
        match self {
            Self::NeverSent(error) | Self::Lost(error) => error,
        }
    }
}

/// Makes connections, over TLS where the address says so.
pub(crate) type HttpsOrHttp = HttpsConnector<TcpConnector>;

/// Connects, and keeps one idle connection per server. It verifies certificates
/// by the system's roots, and follows no redirect. Its clones share all that.
#[derive(Clone, Debug)]
pub struct Transport {
    connector: HttpsOrHttp,
    idle: Arc<Mutex<HashMap<String, Idle>>>,
}

/// A connection that no request uses, and the start of that time by either clock.
#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
    at: Timestamp,
}

/// The connector, which verifies servers over TLS by the system's certificate roots.
/// The roots are read once in a process, since that takes longer than a request.
pub(crate) fn https_or_http() -> Result<HttpsOrHttp, BoxError> {
    static MADE: OnceLock<HttpsOrHttp> = OnceLock::new();
    if let Some(made) = MADE.get() {
        return Ok(made.clone());
    }
    let mut tcp = TcpConnector::new();
    tcp.enforce_http(false);
    // Else a request would wait until the server has acknowledged the last message
    // of the handshake.
    tcp.set_nodelay(true);
    let builder = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http();
    let made = builder.enable_http1().wrap_connector(tcp);
    Ok(MADE.get_or_init(|| made).clone())
}

impl Transport {
    /// Reads the system's certificate roots. Nothing is connected yet.
    pub fn new() -> Result<Self, BoxError> {
        Ok(Self { connector: https_or_http()?, idle: Arc::default() })
    }

    /// Connects to the servers of these addresses at once, for requests that are to
    /// come soon. Nothing is sent, and nothing is lost where it fails.
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
                self.keep(origin, connection, now);
            }
        });
        join_all(opened).await;
    }

    /// Sends `request` once, and reads the whole answer within `time`, if it has
    /// no more than `bytes_max`.
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
        if let Some(recent) = self.recent(&origin, now) {
            in_time(deadline)?;
            match recent.send(request, bytes_max, deadline).await {
                Ok((answer, connection)) => {
                    self.keep(origin, connection, now);
                    return Ok(answer);
                }
                Err(NotSent::Lost(error)) => return Err(NotAnswered::Lost(error)),
                // Closed before a byte of it was written: a new one will do.
                Err(NotSent::Returned(unsent, _)) => request = *unsent,
            }
        }
        let connected = timeout_at(deadline, Connection::open(self.connector.clone(), &uri)).await;
        let connection = connected.map_err(never_sent)?.map_err(NotAnswered::NeverSent)?;
        in_time(deadline)?;
        match connection.send(request, bytes_max, deadline).await {
            Ok((answer, connection)) => {
                self.keep(origin, connection, now);
                Ok(answer)
            }
            Err(NotSent::Lost(error)) => Err(NotAnswered::Lost(error)),
            Err(NotSent::Returned(_, error)) => Err(NotAnswered::NeverSent(error)),
        }
    }

    /// A connection that was used just now.
    fn recent(&self, origin: &str, now: Timestamp) -> Option<Connection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).remove(origin)?;
        let idle_ms = u128::from(now.ms_since(idle.at));
        let is_recent = idle.since.elapsed() < IDLE_MAX && idle_ms < IDLE_MAX.as_millis();
        let usable = is_recent && idle.connection.is_ready();
        usable.then_some(idle.connection)
    }

    fn keep(&self, origin: String, connection: Connection, now: Timestamp) {
        if !connection.is_closed() {
            let idle = Idle { connection, since: Instant::now(), at: now };
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).insert(origin, idle);
        }
    }
}

/// A time-out looks at the clock only after it has let its work begin.
fn in_time(deadline: tokio::time::Instant) -> Result<(), NotAnswered> {
    if tokio::time::Instant::now() < deadline {
        return Ok(());
    }
    Err(NotAnswered::NeverSent("the time was up before anything was sent".into()))
}

fn never_sent(_: Elapsed) -> NotAnswered {
    NotAnswered::NeverSent("no connection was made in time".into())
}

fn origin(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}", uri.scheme_str().unwrap_or("https"))
}

/// The request as it is written: the path, the query, and a `Host` header.
fn in_origin_form(mut request: Request<Full<Bytes>>) -> Result<Request<Full<Bytes>>, BoxError> {
    let uri = request.uri();
    let host = uri.authority().ok_or("the URL has no host")?.as_str();
    let host = HeaderValue::try_from(host)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    request.headers_mut().insert(header::HOST, host);
    *request.uri_mut() = path;
    Ok(request)
}
