//! Connections to the public address, with TLS where it says so.

use std::sync::Arc;

use rustls_native_certs::load_native_certs;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tracing::warn;

use super::config::Target;
use super::outcome::Problem;

/// HTTP/1.1, which WebSockets begin with: a balancer that speaks HTTP/2 as well is to be told.
const ALPN: &[u8] = b"http/1.1";

/// A connection, whatever it is made of.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Makes connections to one address.
pub(super) struct Dialer {
    pub(super) target: Target,
    /// Where the address says so.
    tls: Option<Result<TlsConnector, String>>,
}

impl Dialer {
    /// Reads the certificates that this machine trusts, if they are needed.
    pub(super) fn new(target: Target) -> Self {
        let tls = target.is_secure.then(connector);
        Self { target, tls }
    }

    /// Makes a connection.
    pub(super) async fn dial(&self) -> Result<Box<dyn Stream>, Problem> {
        let target = &self.target;
        let failed = |error| Problem::of_connecting(target, &error);
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let connector = match &self.tls {
            None => return Ok(Box::new(stream)),
            Some(Err(problem)) => return Err(Problem::own(format!("TLS cannot be used here: {problem}"))),
            Some(Ok(connector)) => connector,
        };
        let name = ServerName::try_from(target.host.clone())
            .map_err(|_| Problem::own(format!("{} is no name that a certificate could have", target.host)))?;
        Ok(Box::new(connector.connect(name, stream).await.map_err(failed)?))
    }
}

/// Trusts what this machine trusts; where it trusts nothing, as in an empty container, what browsers do.
fn connector() -> Result<TlsConnector, String> {
    let native = load_native_certs();
    for error in &native.errors {
        warn!(%error, "a certificate of this machine cannot be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config =
        config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::probe::Outcome;

    async fn dial(address: &str) -> Option<Outcome> {
        Dialer::new(address.parse().unwrap()).dial().await.err().map(|problem| problem.outcome)
    }

    #[tokio::test]
    async fn nobody_and_somebody_without_tls_are_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(dial(&format!("http://{address}")).await, None);
        let answering = tokio::spawn(async move {
            loop {
                // Closed at once, without a word of TLS.
                drop(listener.accept().await.unwrap());
            }
        });
        assert_eq!(dial(&format!("https://{address}")).await, Some(Outcome::Unreachable));
        answering.abort();
        drop(answering.await);
        assert_eq!(dial(&format!("http://{address}")).await, Some(Outcome::Unreachable));
    }
}
