//! TLS in front of any server on localhost, with a certificate of the tests.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A certificate authority that is trusted only where a test configures it.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// The validity of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Valid for the server's address.
    Valid,
    /// For another name.
    OtherName,
    /// Expired.
    Expired,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "an authority of the tests");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes the certificate for `SSL_CERT_FILE`.
    pub fn write(&self, directory: &Path) -> PathBuf {
        let path = directory.join("authority.pem");
        std::fs::write(&path, self.0.pem()).unwrap();
        path
    }

    fn server(&self, certificate: Certificate) -> ServerConfig {
        let name = match certificate {
            Certificate::Valid | Certificate::Expired => "127.0.0.1",
            Certificate::OtherName => "tokens.example",
        };
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        if matches!(certificate, Certificate::Expired) {
            params.not_after = date_time_ymd(2000, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let chain = vec![params.signed_by(&key, &self.0).unwrap().der().clone()];
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// A TLS server that forwards the plain bytes to another server. It lives as long as the
/// runtime of its test.
pub struct TlsProxy {
    address: SocketAddr,
    sessions: Arc<AtomicUsize>,
}

impl TlsProxy {
    pub async fn start(
        authority: &Authority,
        certificate: Certificate,
        server: SocketAddr,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(authority.server(certificate)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let front = Self { address: listener.local_addr().unwrap(), sessions: Arc::default() };
        let sessions = Arc::clone(&front.sessions);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, sessions) = (acceptor.clone(), Arc::clone(&sessions));
                tokio::spawn(async move {
                    stream.set_nodelay(true)?;
                    let mut session = acceptor.accept(stream).await?;
                    sessions.fetch_add(1, Ordering::SeqCst);
                    let mut inside = TcpStream::connect(server).await?;
                    inside.set_nodelay(true)?;
                    copy_bidirectional(&mut session, &mut inside).await
                });
            }
        });
        front
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// The number of TLS sessions that clients have completed.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::SeqCst)
    }
}
