//! A port of localhost, answered until it is told to stop.

use crate::error::BoxError;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// Tells servers to stop.
#[derive(Debug)]
pub struct Stop(watch::Sender<bool>);

/// Learns that it is time to stop.
#[derive(Clone, Debug)]
pub struct Stopped(watch::Receiver<bool>);

impl Stop {
    /// A pair: one side tells, the other waits.
    pub fn new() -> (Self, Stopped) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stopped(receiver))
    }

    /// Tells all that wait. Requests that have begun are still answered.
    pub fn tell(&self) {
        self.0.send_replace(true);
    }
}

impl Stopped {
    /// Never.
    fn never() -> Self {
        Stop::new().1
    }

    /// Waits until it is time to stop.
    pub(super) async fn wait(&mut self) {
        if self.0.wait_for(|is_time| *is_time).await.is_err() {
            pending::<()>().await;
        }
    }
}

/// Held while there is work that must not be cut off.
pub(super) type Busy = mpsc::Sender<()>;

/// Answers each request in the background, as long as the process runs.
pub(super) fn serve_for_ever<F, A, B>(listener: TcpListener, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<B>, BoxError>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (busy, _) = mpsc::channel(1);
    tokio::spawn(accept(listener, Stopped::never(), busy, answer));
}

/// Answers each request on each connection with `answer`; an error closes the
/// connection. Ends once it was told to stop. Connections that were used hold `busy`.
pub(super) async fn accept<F, A, B>(
    listener: TcpListener,
    mut stopped: Stopped,
    busy: Busy,
    answer: F,
) where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<B>, BoxError>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped.wait() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (answer, busy, mut stopped) = (answer.clone(), busy.clone(), stopped.clone());
        tokio::spawn(async move {
            let was_used = Arc::new(AtomicBool::new(false));
            let used = Arc::clone(&was_used);
            let service = service_fn(move |request| {
                used.store(true, Ordering::Relaxed);
                answer(request)
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                // A browser opens connections that it may never use.
                () = stopped.wait() => match was_used.load(Ordering::Relaxed) {
                    false => Ok(()),
                    true => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                },
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
            drop(busy);
        });
    }
}

/// Reads until it is clear that the body is longer than `bytes_max`, and not a frame
/// further.
pub(super) async fn read(mut body: Incoming, bytes_max: usize) -> Result<Vec<u8>, BoxError> {
    let mut bytes = Vec::new();
    while bytes.len() <= bytes_max {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}
