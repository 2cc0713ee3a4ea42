//! The settings of the launcher itself: addresses and ports. The parts read their own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use service::config::{ConfigErrors, Env};
use tokio::net::{TcpListener, TcpSocket};

use crate::error::LaunchError;

/// The variable with the public port.
pub const PORT: &str = "PORT";
/// The variable with the address that [`PORT`] is opened on.
pub const LISTEN_ADDR: &str = "LISTEN_ADDR";
/// The variable with the port of `/metrics`, `/livez` and `/readyz`.
pub const ADMIN_PORT: &str = "ADMIN_PORT";
/// The variable with the address that [`ADMIN_PORT`] is opened on.
pub const ADMIN_ADDR: &str = "ADMIN_ADDR";
/// The variable with the bus between processes.
pub const NATS_URL: &str = "NATS_URL";

/// Connections that may wait to be accepted; the system has a bound of its own. When all clients come back at once,
/// those that find no room are only tried again after a second, and then after longer and longer.
const BACKLOG: u32 = 4_096;

/// Defaults of one kind of process. They differ, so that all roles fit on one machine.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    address: Ipv4Addr,
    port: u16,
    admin_port: u16,
}

/// Everything in one process, and the gateway alone: open to the network.
pub const GATEWAY: Defaults = Defaults { address: Ipv4Addr::UNSPECIFIED, port: 5000, admin_port: 5001 };
/// The api alone: it has internal routes, so whoever wants it on a network says on which.
pub const API: Defaults = Defaults { address: Ipv4Addr::LOCALHOST, port: 5002, admin_port: 5003 };
/// The streamer alone has no port but the operators'.
pub const STREAMER: Defaults = Defaults { address: Ipv4Addr::LOCALHOST, port: 0, admin_port: 5004 };

/// Nor has the probe.
pub const PROBE: Defaults = Defaults { address: Ipv4Addr::LOCALHOST, port: 0, admin_port: 5005 };

/// Where a process listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For clients.
    pub public: SocketAddr,
    /// For operators.
    pub admin: SocketAddr,
}

impl Addresses {
    /// Reads the addresses; what is wrong is remembered in `env`.
    pub fn read(env: &mut Env, defaults: Defaults) -> Self {
        let mut address = |address, default: Ipv4Addr, port, default_port| {
            let address = env.parse(address, IpAddr::V4(default));
            SocketAddr::new(address, env.parse(port, default_port))
        };
        Self {
            public: address(LISTEN_ADDR, defaults.address, PORT, defaults.port),
            admin: address(ADMIN_ADDR, Ipv4Addr::LOCALHOST, ADMIN_PORT, defaults.admin_port),
        }
    }
}

/// The variable by which metrics are turned `off`, to find out what they cost.
pub const METRICS: &str = "METRICS";

/// Whether metrics are turned off; what is wrong is remembered in `env`.
pub fn are_metrics_off(env: &mut Env) -> bool {
    match env.text(METRICS).as_deref() {
        None | Some("on") => false,
        Some("off") => true,
        Some(_) => {
            env.refuse(METRICS, "must be on or off");
            false
        }
    }
}

/// Ends the reading of settings. Several parts read some of the variables, so the same mistake may have been
/// noticed several times; the first to notice it tells.
///
/// # Errors
///
/// All mistakes, one of each variable.
pub fn finish(env: Env) -> Result<(), LaunchError> {
    let Err(ConfigErrors(mistakes)) = env.finish() else { return Ok(()) };
    let mut told = ConfigErrors(Vec::new());
    for mistake in mistakes {
        if told.0.iter().all(|earlier| earlier.name != mistake.name) {
            told.0.push(mistake);
        }
    }
    Err(told.into())
}

/// Opens a port for clients.
///
/// # Errors
///
/// When it cannot be had; the error names the setting.
pub async fn listen(what: &'static str, address: SocketAddr) -> Result<TcpListener, LaunchError> {
    bind(what, address, PORT)
}

/// A port that is taken, and on which nobody is let in yet: connections are refused until [`Reserved::listen`].
#[derive(Debug)]
pub struct Reserved {
    socket: TcpSocket,
    what: &'static str,
    address: SocketAddr,
}

impl Reserved {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// When it cannot be had; the error names the setting.
    pub fn listen(self) -> Result<TcpListener, LaunchError> {
        let Self { socket, what, address } = self;
        socket.listen(BACKLOG).map_err(|source| LaunchError::Port { what, address, setting: PORT, source })
    }
}

/// Takes the public port for a process that may have to wait before it can serve.
///
/// # Errors
///
/// When it cannot be had; the error names the setting.
pub fn reserve(what: &'static str, address: SocketAddr) -> Result<Reserved, LaunchError> {
    let failed = |source| LaunchError::Port { what, address, setting: PORT, source };
    Ok(Reserved { socket: bound(address).map_err(failed)?, what, address })
}

/// Opens the port for operators.
///
/// # Errors
///
/// When it cannot be had; the error names the setting.
pub async fn listen_admin(address: SocketAddr) -> Result<TcpListener, LaunchError> {
    bind("the admin endpoint", address, ADMIN_PORT)
}

fn bind(what: &'static str, address: SocketAddr, setting: &'static str) -> Result<TcpListener, LaunchError> {
    open(address).map_err(|source| LaunchError::Port { what, address, setting, source })
}

fn open(address: SocketAddr) -> std::io::Result<TcpListener> {
    bound(address)?.listen(BACKLOG)
}

fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A port whose earlier connections have not quite ended yet can be had again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// The address under which somebody on this machine reaches a listener on `address`.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let host = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        // A listener on all IPv6 addresses takes IPv4 as well, unless the system was told otherwise.
        _ => Ipv4Addr::LOCALHOST.into(),
    };
    SocketAddr::new(host, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        Env::from_pairs(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn addresses_have_defaults_and_can_be_set() {
        let addresses = Addresses::read(&mut env(&[]), GATEWAY);
        assert_eq!(addresses.public.to_string(), "0.0.0.0:5000");
        assert_eq!(addresses.admin.to_string(), "127.0.0.1:5001");
        let mut env = env(&[("PORT", "0"), ("LISTEN_ADDR", "::1"), ("ADMIN_PORT", "7")]);
        let addresses = Addresses::read(&mut env, GATEWAY);
        assert_eq!(addresses.public.to_string(), "[::1]:0");
        assert_eq!(addresses.admin.to_string(), "127.0.0.1:7");
        assert!(finish(env).is_ok());
    }

    #[test]
    fn a_mistake_that_two_notice_is_told_once() {
        let mut env = env(&[("PORT", "x"), ("LISTEN_ADDR", "here")]);
        Addresses::read(&mut env, GATEWAY);
        env.refuse(PORT, "is wrong");
        let LaunchError::Config(errors) = finish(env).unwrap_err() else { panic!("another error") };
        assert_eq!(
            errors.0.iter().map(|mistake| mistake.name.as_str()).collect::<Vec<_>>(),
            [LISTEN_ADDR, PORT]
        );
    }

    #[tokio::test]
    async fn a_taken_port_is_told_with_what_to_do() {
        let taken = listen("the gateway", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = listen("the gateway", taken.local_addr().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("set PORT to another port"), "{error}");
    }

    #[test]
    fn all_addresses_are_reached_through_loopback() {
        assert_eq!(reachable("0.0.0.0:5".parse().unwrap()).to_string(), "127.0.0.1:5");
        assert_eq!(reachable("10.0.0.1:5".parse().unwrap()).to_string(), "10.0.0.1:5");
    }
}
