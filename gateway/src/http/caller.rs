//! What the api is told about who is calling.

use std::net::IpAddr;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use protocol::Id;
use service::client_address::TrustedProxies;
use service::request_id::{self, REQUEST_ID, minted};

/// Names the client's address; what came in is replaced, so that the api need not find out whom to believe.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who sends a request, and what the request is called.
#[derive(Debug)]
pub(crate) struct Caller {
    address: IpAddr,
    request_id: HeaderValue,
}

impl Caller {
    /// Who sent a request with these headers over a connection from `peer`. A trusted proxy may have named the request;
    /// from anybody else a name is worth nothing, and it gets a fresh one.
    pub(crate) fn of(headers: &HeaderMap, peer: IpAddr, trusted: &TrustedProxies) -> Self {
        let given = request_id::given(headers).filter(|_| trusted.trusts(peer));
        Self {
            address: client_address(headers, peer, trusted),
            request_id: given.cloned().unwrap_or_else(|| minted(Id::mint())),
        }
    }

    /// What the request is called, for logs.
    pub(crate) fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// Tells the api.
    pub(crate) fn introduce(&self, headers: &mut HeaderMap) {
        if let Ok(address) = HeaderValue::try_from(self.address.to_string()) {
            headers.insert(FORWARDED_FOR, address);
        } else {
            headers.remove(FORWARDED_FOR);
        }
        headers.insert(REQUEST_ID, self.request_id.clone());
    }

    /// Tells the client what its request was called.
    pub(crate) fn mark(self, answer: &mut HeaderMap) {
        answer.insert(REQUEST_ID, self.request_id);
    }
}

/// The address of the client that sent a request with these headers over a connection from `peer`.
pub(crate) fn client_address(headers: &HeaderMap, peer: IpAddr, trusted: &TrustedProxies) -> IpAddr {
    // What is not text names nobody.
    let named = headers.get_all(FORWARDED_FOR).iter().map(|value| value.to_str().unwrap_or_default());
    trusted.client(peer, named)
}

#[cfg(test)]
mod tests {
    use service::client_address::TRUSTED_PROXIES;
    use service::config::Env;

    use super::*;

    /// What the api is told of a request from `peer`: the client's address and the request's name.
    fn told(peer: &str, headers: &[(&HeaderName, &str)]) -> (String, String) {
        let mut env = Env::from_pairs([(TRUSTED_PROXIES.to_owned(), "10.0.0.0/8".to_owned())]);
        let trusted = TrustedProxies::from_env(&mut env);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let caller = Caller::of(&map, peer.parse().unwrap(), &trusted);
        caller.introduce(&mut map);
        assert_eq!(map[&REQUEST_ID], caller.request_id());
        (all(&map, &FORWARDED_FOR), all(&map, &REQUEST_ID))
    }

    fn all(headers: &HeaderMap, name: &HeaderName) -> String {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        values.collect::<Vec<_>>().join(" and ")
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let headers = [(&FORWARDED_FOR, "1.1.1.1, 203.0.113.9"), (&REQUEST_ID, "8f14e45f-ceea")];
        let (address, id) = told("10.0.0.1", &headers);
        assert_eq!((address.as_str(), id.as_str()), ("203.0.113.9", "8f14e45f-ceea"));
        let split = [(&FORWARDED_FOR, "1.1.1.1"), (&FORWARDED_FOR, "2001:db8::1")];
        assert_eq!(told("10.0.0.1", &split).0, "2001:db8::1");
    }

    #[test]
    fn a_client_is_not_and_what_it_says_is_replaced() {
        let headers = [(&FORWARDED_FOR, "1.1.1.1"), (&FORWARDED_FOR, "2.2.2.2"), (&REQUEST_ID, "mine")];
        let (address, id) = told("::ffff:198.51.100.1", &headers);
        assert_eq!(address, "198.51.100.1");
        assert!(id.parse::<Id>().is_ok(), "{id}");
        assert_ne!(id, told("198.51.100.1", &[]).1);
    }

    #[test]
    fn a_name_that_is_not_well_formed_is_not_taken_over() {
        let long = "x".repeat(129);
        for name in ["", "a b", "a\tb", "a\"b", "<a>", "ä", &long] {
            let (_, id) = told("10.0.0.1", &[(&REQUEST_ID, name)]);
            assert!(id.parse::<Id>().is_ok(), "{name:?} became {id:?}");
        }
        assert_eq!(told("10.0.0.1", &[(&REQUEST_ID, &long[1..])]).1, long[1..]);
    }
}
