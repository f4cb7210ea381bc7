//! A connection to a server.

use super::{HttpsOrHttp, Response};
use crate::error::BoxError;
use futures_util::future::{Either, select};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;
use tower_service::Service;

/// The highest time that a reset may take.
const RESET_MAX: Duration = Duration::from_millis(100);

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Resets the connection when a message is sent. Has no effect when it is dropped.
    reset: oneshot::Sender<()>,
    /// The task of the connection. It ends with the connection.
    driver: JoinHandle<()>,
}

impl Connection {
    /// Connects to the server of `uri`.
    pub(super) async fn open(mut connector: HttpsOrHttp, uri: &Uri) -> Result<Self, BoxError> {
        std::future::poll_fn(|context| connector.poll_ready(context)).await?;
        let stream = connector.call(uri.clone()).await?;
        let (mut sender, mut driver) = http1::handshake(stream).await?;
        let (reset, is_reset) = oneshot::channel();
        // The task ends when the sender is dropped, or on a reset.
        let driver = tokio::spawn(async move {
            let driven = select(is_reset, &mut driver).await;
            if let Either::Left((Ok(()), _)) = driven {
                let tcp = driver.into_parts().io;
                // If this fails, the connection is closed without a reset.
                let _ = tcp_stream(&tcp).set_zero_linger();
            } else if let Either::Left((Err(_), _)) = driven {
                let _ = driver.await;
            }
        });
        sender.ready().await?;
        Ok(Self { sender, reset, driver })
    }

    /// True if the next request can be written at once.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends one request and reads its answer. If none comes in time, the connection is
    /// reset. The server then gets nothing that its system has not received yet, and sees
    /// that the request was given up. With a normal close, it would process the request.
    pub(super) async fn send(
        mut self,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
        deadline: tokio::time::Instant,
    ) -> Result<(Response, Self), NotSent> {
        let sent = {
            let mut sending = pin!(send(&mut self.sender, request, bytes_max));
            match timeout_at(deadline, &mut sending).await {
                Ok(sent) => sent,
                Err(_) => {
                    // Before the request is dropped, which closes the connection.
                    let _ = self.reset.send(());
                    let _ = tokio::time::timeout(RESET_MAX, self.driver).await;
                    return Err(NotSent::Lost("no answer came in time".into()));
                }
            }
        };
        sent.map(|answer| (answer, self))
    }
}

/// The reasons why a request got no answer on a connection.
pub(super) enum NotSent {
    /// Nothing of the request was written. Holds the request.
    Returned(Box<Request<Full<Bytes>>>, BoxError),
    /// The request may have been written.
    Lost(BoxError),
}

/// The TCP connection of a stream with or without TLS.
fn tcp_stream(stream: &MaybeHttpsStream<TokioIo<TcpStream>>) -> &TcpStream {
    match stream {
        MaybeHttpsStream::Http(tcp) => tcp.inner(),
        MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner().inner(),
    }
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    bytes_max: usize,
) -> Result<Response, NotSent> {
    let response = match sender.try_send_request(request).await {
        Ok(response) => response,
        Err(mut error) => {
            return Err(match error.take_message() {
                Some(request) => NotSent::Returned(request.into(), error.into_error().into()),
                None => NotSent::Lost(error.into_error().into()),
            });
        }
    };
    let (head, body) = response.into_parts();
    let body = Limited::new(body, bytes_max).collect().await.map_err(NotSent::Lost)?;
    Ok(Response { status: head.status, headers: head.headers, body: body.to_bytes() })
}
