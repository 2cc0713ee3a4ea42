//! Reading `NATS_URL`. Credentials are taken out of the addresses and handed to the client library apart from
//! them: it does not read them from there, and an address without them can be shown in errors and logs.

use std::fmt;

use async_nats::{ConnectOptions, ServerAddr};

use crate::BusError;

/// Where to connect to, and as whom.
pub(super) struct Servers {
    addresses: Vec<ServerAddr>,
    credentials: Credentials,
}

#[derive(PartialEq, Eq)]
enum Credentials {
    None,
    Token(String),
    Password { user: String, password: String },
}

impl Servers {
    /// Reads addresses separated by commas.
    pub(super) fn parse(text: &str) -> Result<Self, BusError> {
        let mut addresses = Vec::new();
        let mut credentials = Credentials::None;
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (address, its_credentials) = parse_one(part)?;
            addresses.push(address);
            if its_credentials == Credentials::None || its_credentials == credentials {
                continue;
            }
            if credentials != Credentials::None {
                // The library authenticates alike to every server that it knows or discovers.
                return Err(refuse("its addresses name different credentials"));
            }
            credentials = its_credentials;
        }
        if addresses.is_empty() {
            return Err(refuse("it is empty"));
        }
        Ok(Self { addresses, credentials })
    }

    pub(super) fn addresses(&self) -> Vec<ServerAddr> {
        self.addresses.clone()
    }

    /// Adds the credentials, and TLS where an address asks for it: then for all, for the library also
    /// connects to servers that it discovers, and those come without a scheme.
    pub(super) fn authenticate(&self, options: ConnectOptions) -> ConnectOptions {
        let options = match &self.credentials {
            Credentials::None => options,
            Credentials::Token(token) => options.token(token.clone()),
            Credentials::Password { user, password } => {
                options.user_and_password(user.clone(), password.clone())
            }
        };
        options.require_tls(self.addresses.iter().any(ServerAddr::tls_required))
    }
}

/// The hosts and ports.
impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.addresses.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let (host, port) = (address.host(), address.port());
            match host.contains(':') {
                true => write!(f, "{comma}[{host}]:{port}")?,
                false => write!(f, "{comma}{host}:{port}")?,
            }
        }
        Ok(())
    }
}

/// The problem is told without the address, which may hold a password.
fn refuse(problem: &str) -> BusError {
    BusError::Config(format!("the NATS URL cannot be used: {problem}"))
}

fn parse_one(text: &str) -> Result<(ServerAddr, Credentials), BusError> {
    let form = "nats://host:port or tls://host:port is expected, with user:password@ or token@ before the host \
                where needed";
    let address: ServerAddr = text.parse().map_err(|_| refuse(form))?;
    let mut url = address.into_inner();
    if !matches!(url.scheme(), "nats" | "tls") || url.host_str().is_none_or(str::is_empty) {
        return Err(refuse(form));
    }
    let decode = |part: &str| decode_percent(part).ok_or_else(|| refuse("its credentials are badly encoded"));
    let credentials = match (url.username(), url.password()) {
        ("", None) => Credentials::None,
        (token, None) => Credentials::Token(decode(token)?),
        (user, Some(password)) => Credentials::Password { user: decode(user)?, password: decode(password)? },
    };
    url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| refuse(form))?;
    let address = ServerAddr::from_url(url).map_err(|_| refuse(form))?;
    Ok((address, credentials))
}

/// Undoes `%40` and the like; `None` if that does not give text.
fn decode_percent(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        let Err(error) = Servers::parse(text) else { panic!("{text} was taken") };
        error.to_string()
    }

    #[test]
    fn credentials_leave_the_address() {
        let servers = Servers::parse("nats://ann:p%40ss%2Cword@one:4223, tls://two,[::1]:9").unwrap();
        assert_eq!(servers.to_string(), "one:4223, two:4222, [::1]:9");
        assert!(servers.addresses().iter().all(|address| !address.as_url_str().contains('@')));
        let (user, password) = ("ann".to_owned(), "p@ss,word".to_owned());
        assert!(servers.credentials == Credentials::Password { user, password });

        let token = Servers::parse("nats://s3cret@host").unwrap();
        assert!(token.credentials == Credentials::Token("s3cret".to_owned()));
        assert!(Servers::parse("host").unwrap().credentials == Credentials::None);
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_showing_it() {
        for text in ["", " , ", "nats://", "http://u:secret@h", "ws://u:secret@h", "nats://u:secret@h:port"] {
            assert!(!problem(text).contains("secret"), "{text}");
        }
        assert!(problem("nats://u:%zzsecret@h").contains("badly encoded"));
        let different = problem("nats://u:secret@one,nats://v:secret@two");
        assert!(different.contains("different") && !different.contains("secret"), "{different}");
    }
}
