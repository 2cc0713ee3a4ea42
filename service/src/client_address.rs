//! Which address a client has, when its connection comes through proxies.
//!
//! `X-Forwarded-For` is written by whoever sends it. It is believed from those proxies only that the operator has
//! named, and only as far as each of them says what it saw itself.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

use crate::config::Env;

/// Addresses and networks (`10.0.0.0/8`) of the proxies whose `X-Forwarded-For` is believed, separated by commas.
pub const TRUSTED_PROXIES: &str = "TRUSTED_PROXIES";

/// The bits of an IPv6 address that tell customers apart: each can have as many addresses below as it wants.
const IPV6_CUSTOMER_BITS: u32 = 64;
/// Where the IPv4 address begins in an IPv4-mapped IPv6 address.
const MAPPED_BITS: u8 = 96;

/// The proxies whose word counts. None by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
}

impl TrustedProxies {
    /// Reads [`TRUSTED_PROXIES`]; what is neither an address nor a network is remembered as a mistake in `env`. For
    /// processes that clients connect to.
    #[must_use]
    pub fn from_env(env: &mut Env) -> Self {
        let mut networks = Vec::new();
        for text in env.list(TRUSTED_PROXIES) {
            match network(&text) {
                Some(network) => networks.push(network),
                None => env.refuse(
                    TRUSTED_PROXIES,
                    format!("{text} is neither an address nor a network such as 10.0.0.0/8"),
                ),
            }
        }
        Self { networks }
    }

    /// Trusts this machine as well. For processes behind a gateway, which is often on the same one.
    #[must_use]
    pub fn and_loopback(mut self) -> Self {
        self.networks.extend(["127.0.0.0/8", "::1/128"].into_iter().filter_map(network));
        self
    }

    /// Whether the word of this address counts.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The address of the client whose request came over a connection from `peer`, with these `X-Forwarded-For` headers
    /// in their order.
    ///
    /// Each proxy has added at the right whom it was spoken to by. So they are read from there: as long as who speaks
    /// is trusted, whom it names counts. The first that is not trusted is the client, whatever it says itself; where
    /// a trusted one names nobody, it is taken for the client.
    #[must_use]
    pub fn client<'a>(&self, peer: IpAddr, forwarded_for: impl Iterator<Item = &'a str>) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let entries: Vec<&str> = forwarded_for.flat_map(|header| header.split(',')).collect();
        for entry in entries.into_iter().rev() {
            let Some(named) = address(entry.trim()) else { break };
            client = named.to_canonical();
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

/// What a client is counted under when its requests are limited: its address, or of an IPv6 address the network of
/// 64 bits, in which one client can take as many addresses as it likes.
#[must_use]
pub fn throttle_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let customer = u128::MAX << (Ipv6Addr::BITS - IPV6_CUSTOMER_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & customer))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>();
    address.or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip())).ok()
}

/// A network, or a single address. IPv4 written as IPv6 becomes IPv4, as the addresses that it is compared with.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>()).ok()?;
    let mapped = match network {
        IpNet::V6(v6) => v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED_BITS)),
        IpNet::V4(_) => None,
    };
    match mapped {
        Some((v4, prefix)) => Ipv4Net::new(v4, prefix).ok().map(IpNet::V4),
        None => Some(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(list: &str) -> TrustedProxies {
        let mut env = Env::from_pairs([(TRUSTED_PROXIES.to_owned(), list.to_owned())]);
        let trusted = TrustedProxies::from_env(&mut env);
        assert_eq!(env.finish(), Ok(()));
        trusted
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_and_networks_are_read_and_nonsense_is_told() {
        let trusted =
            trusted("192.0.2.7, 10.0.0.0/8,2001:db8::/32, ::ffff:198.51.100.0/120, ::ffff:203.0.113.1");
        for address in
            ["192.0.2.7", "::ffff:192.0.2.7", "10.9.8.7", "2001:db8:1::1", "198.51.100.9", "203.0.113.1"]
        {
            assert!(trusted.trusts(ip(address)), "{address}");
        }
        for address in ["192.0.2.8", "11.0.0.1", "2001:db9::1", "198.51.101.1", "127.0.0.1", "::1"] {
            assert!(!trusted.trusts(ip(address)), "{address}");
        }
        let pairs = [(TRUSTED_PROXIES.to_owned(), "10.0.0.0/33, proxy.example, 10.0.0.1".to_owned())];
        let mut env = Env::from_pairs(pairs);
        assert!(TrustedProxies::from_env(&mut env).trusts(ip("10.0.0.1")));
        let told = env.finish().unwrap_err().to_string();
        assert!(
            told.contains("10.0.0.0/33 is neither") && told.contains("proxy.example is neither"),
            "{told}"
        );
    }

    #[test]
    fn nobody_is_believed_by_default_and_this_machine_where_it_is_asked_for() {
        let none = TrustedProxies::default();
        assert_eq!(none.client(ip("127.0.0.1"), ["203.0.113.9"].into_iter()), ip("127.0.0.1"));
        let loopback = none.and_loopback();
        for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(loopback.client(ip(peer), ["203.0.113.9"].into_iter()), ip("203.0.113.9"), "{peer}");
        }
        assert!(!loopback.trusts(ip("10.0.0.1")));
    }

    #[test]
    fn the_first_from_the_right_that_is_not_trusted_is_the_client() {
        let trusted = trusted("10.0.0.0/8");
        let client =
            |peer: &str, headers: &[&str]| trusted.client(ip(peer), headers.iter().copied()).to_string();
        for (peer, headers, is) in [
            // A client that writes the header itself is not believed.
            ("198.51.100.1", &["203.0.113.9"][..], "198.51.100.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            // What it wrote stands left of what the proxy saw.
            ("10.0.0.1", &["10.0.0.9, 1.1.1.1 , 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["203.0.113.9", "10.0.0.3,10.0.0.2"], "203.0.113.9"),
            // All are ours: the furthest is who began.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["203.0.113.9, "], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9", ""], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("::ffff:198.51.100.1", &[], "198.51.100.1"),
        ] {
            assert_eq!(client(peer, headers), is, "{peer} {headers:?}");
        }
    }

    #[test]
    fn an_ipv6_client_counts_as_its_network() {
        assert_eq!(throttle_key(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(throttle_key(ip("2001:db8:1:2::9")), ip("2001:db8:1:2::"));
        assert_ne!(throttle_key(ip("2001:db8:1:3::9")), ip("2001:db8:1:2::"));
        assert_eq!(throttle_key(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }
}
