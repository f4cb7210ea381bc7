//! A connector that runs a script for each TCP connection, and keeps every byte that it
//! receives.

use Step::{Await, Drip, Head, Hold, Request, Reset, Say, Wait};
use futures_util::future::join_all;
use std::io::Result;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot::{self, Receiver};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A step of a connection's script. After the last step the connector sends nothing, and
/// reads until the other side closes.
pub type Script = Vec<Step>;

#[derive(Clone, Debug)]
pub enum Step {
    /// Waits until bytes have arrived, and does not read them. A reset follows.
    Await,
    /// Reads the head of a request, and no more.
    Head,
    /// Reads a whole request, with the body that every call has.
    Request,
    /// Sends these bytes.
    Say(Vec<u8>),
    /// Sends these bytes, with a pause of this many milliseconds after each.
    Drip(Vec<u8>, u64),
    /// Waits for this many milliseconds.
    Wait(u64),
    /// Reads until the other side closes, and sends nothing.
    Hold,
    /// Resets the connection, as a killed process does.
    Reset,
}

pub fn say(text: impl Into<Vec<u8>>) -> Step {
    Say(text.into())
}

pub fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} Any\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

pub fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// The received bytes of each connection, in the order of the connections.
pub type Received = Vec<Vec<u8>>;

/// The connector. It serves until `finish` is called.
pub struct Psp {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Received>,
}

impl Psp {
    /// Starts it. The n-th script is for the n-th connection. Further connections are read,
    /// and get no answer.
    pub async fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve(listener, scripts.into_iter().collect(), stopped));
        Self { address, stop, serving }
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// All received bytes, once every connection has ended. A client must drop its open
    /// connections first.
    pub async fn finish(self) -> Received {
        // Connections that are already made are accepted before the server stops.
        sleep(Duration::from_millis(5)).await;
        self.stop.send(()).unwrap();
        self.serving.await.unwrap()
    }
}

async fn serve(listener: TcpListener, scripts: Vec<Script>, mut stop: Receiver<()>) -> Received {
    let mut scripts = scripts.into_iter();
    let mut connections = Vec::new();
    loop {
        let stream = tokio::select! {
            biased;
            accepted = listener.accept() => accepted.unwrap().0,
            _ = &mut stop => break,
        };
        let connection = Connection { stream, received: Vec::new() };
        connections.push(tokio::spawn(connection.serve(scripts.next().unwrap_or_default())));
    }
    join_all(connections).await.into_iter().map(|ended| ended.unwrap()).collect()
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// The write fails if the other side has closed, which is an expected end.
    async fn serve(mut self, script: Script) -> Vec<u8> {
        let _ = self.play(script).await;
        self.received
    }

    async fn play(&mut self, script: Script) -> Result<()> {
        for step in script {
            match step {
                Await => {
                    self.received.resize(4096, 0);
                    let length = self.stream.peek(&mut self.received).await?;
                    self.received.truncate(length);
                }
                Head => self.until(b"\r\n\r\n").await?,
                Request => self.until(b"}]}").await?,
                Say(bytes) => self.stream.write_all(&bytes).await?,
                Drip(bytes, pause_ms) => {
                    for byte in bytes {
                        self.stream.write_u8(byte).await?;
                        sleep(Duration::from_millis(pause_ms)).await;
                    }
                }
                Wait(ms) => sleep(Duration::from_millis(ms)).await,
                Hold => drop(self.stream.read_to_end(&mut self.received).await?),
                Reset => return self.stream.set_zero_linger(),
            }
        }
        self.stream.shutdown().await?;
        self.stream.read_to_end(&mut self.received).await?;
        Ok(())
    }

    /// Reads until these bytes have arrived.
    async fn until(&mut self, end: &[u8]) -> Result<()> {
        let start = self.received.len();
        while !self.received[start..].ends_with(end) {
            self.received.push(self.stream.read_u8().await?);
        }
        Ok(())
    }
}
