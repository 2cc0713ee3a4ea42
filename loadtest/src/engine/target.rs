//! The server under test: where it is, and whether it may be put under load.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hyper::Uri;
use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::lookup_host;

use crate::error::Error;

/// From how many loopback addresses connections come. Linux slows down where one pair of addresses uses up more than
/// half of the ephemeral ports, which begins at about 14,000 connections.
const LOOPBACK_SOURCES: usize = 16;

/// The server under test.
#[derive(Clone, Debug)]
pub struct Target {
    authority: Arc<str>,
    address: SocketAddr,
}

impl Target {
    /// Reads `http://host[:port]` and looks the host up.
    ///
    /// # Errors
    ///
    /// When it is no such address, or the host is unknown.
    pub async fn resolve(url: &str) -> Result<Self, Error> {
        let problem = |problem: String| Error::Url { url: url.to_owned(), problem };
        let uri: Uri = url.parse().map_err(|error| problem(format!("{error}")))?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(problem("expected http://host:port (TLS is not supported)".to_owned()));
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(problem("expected an address without a path".to_owned()));
        }
        let host = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
        let addresses: Vec<_> = lookup_host(host).await.map_err(|e| problem(e.to_string()))?.collect();
        // `localhost` is both ::1 and 127.0.0.1, and only the latter has neighbours to spread over.
        let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
        let address = *address.ok_or_else(|| problem("the host has no address".to_owned()))?;
        Ok(Self { authority: authority.as_str().into(), address })
    }

    /// The same, and refuses a server that is not this machine unless it is `owned` by who runs this: a typing error
    /// must not put somebody else's server under load.
    ///
    /// # Errors
    ///
    /// As [`Target::resolve`], and [`Error::NotOwned`].
    pub async fn permitted(url: &str, owned: bool) -> Result<Self, Error> {
        let target = Self::resolve(url).await?;
        let address = target.address.ip().to_canonical();
        if owned || address.is_loopback() || address.is_unspecified() {
            Ok(target)
        } else {
            Err(Error::NotOwned { url: url.to_owned(), address })
        }
    }

    /// `http://host:port`, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// `host:port`, as it was given.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Where the connection `number` comes from, if that is to be chosen.
    fn source(&self, number: usize) -> Option<SocketAddr> {
        // Other systems give the loopback interface one address only.
        let spread = cfg!(target_os = "linux") && self.address.is_ipv4() && self.address.ip().is_loopback();
        let last = (1 + number % LOOPBACK_SOURCES) as u8;
        spread.then(|| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)))
    }

    /// Begins to open the connection `number`, which chooses the source address.
    pub(super) fn connect(&self, number: usize) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = self.source(number) {
            socket.bind(&source.into())?;
        }
        match socket.connect(&self.address.into()) {
            Err(error) if !in_progress(&error) => Err(error),
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }
}

/// Whether a connection that does not block is only not open yet.
fn in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_that_cannot_be_used_are_refused() {
        for url in ["https://127.0.0.1:5000", "127.0.0.1:5000", "http://127.0.0.1:5000/api", "http://", ""] {
            assert!(matches!(Target::resolve(url).await, Err(Error::Url { .. })), "{url}");
        }
        let target = Target::resolve("http://127.0.0.1:5000/").await.unwrap();
        assert_eq!(target.base(), "http://127.0.0.1:5000");
        assert!(Target::resolve("http://[::1]:5000").await.unwrap().source(0).is_none());
    }

    #[tokio::test]
    async fn a_server_that_is_not_this_machine_has_to_be_ones_own() {
        for url in ["http://192.0.2.1:5000", "http://[2001:db8::1]", "http://[::ffff:192.0.2.1]"] {
            let refused = Target::permitted(url, false).await.unwrap_err();
            assert!(matches!(refused, Error::NotOwned { .. }), "{refused}");
            assert!(refused.to_string().contains("--i-own-this-target"), "{refused}");
            assert!(Target::permitted(url, true).await.is_ok(), "{url}");
        }
        for url in ["http://127.0.0.1:5000", "http://127.8.7.6", "http://[::1]:5000", "http://0.0.0.0:1"] {
            assert!(Target::permitted(url, false).await.is_ok(), "{url}");
        }
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn loopback_connections_come_from_many_addresses() {
        let target = Target::resolve("http://127.0.0.1:5000").await.unwrap();
        let mut sources: Vec<_> = (0..1_000).filter_map(|n| target.source(n)).collect();
        sources.sort();
        sources.dedup();
        assert_eq!(sources.len(), LOOPBACK_SOURCES);
    }
}
