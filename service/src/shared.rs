//! Settings that several parts read, and must read alike: what one of them signs or writes, another one checks.

use std::fmt;

use hyper::Uri;

use crate::config::Env;

/// The secret that signs tokens and the addresses of uploads, the same for every process.
pub const JWT_SECRET: &str = "JWT_SECRET";
/// Secrets that sign nothing (any more) and whose signatures are still good, separated by commas.
pub const JWT_SECRET_PREVIOUS: &str = "JWT_SECRET_PREVIOUS";
/// The address under which clients reach the gateways, such as `https://chat.example.org`. Without it the addresses
/// of uploads are paths, which is right for pages that a gateway serves itself.
pub const PUBLIC_URL: &str = "PUBLIC_URL";

/// What [`JWT_SECRET`] and [`JWT_SECRET_PREVIOUS`] hold. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Signs and verifies.
    pub current: String,
    /// Verify only.
    pub previous: Vec<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// Reads the secrets; one of fewer than `min_bytes` is remembered as a mistake in `env`, and so is a missing
    /// [`JWT_SECRET`]. No secret is ever part of what is told.
    #[must_use]
    pub fn from_env(env: &mut Env, min_bytes: usize) -> Self {
        let current = env.text(JWT_SECRET).unwrap_or_default();
        if current.len() < min_bytes {
            env.refuse(JWT_SECRET, format!("must have at least {min_bytes} characters"));
        }
        let previous = env.list(JWT_SECRET_PREVIOUS);
        if previous.iter().any(|secret| secret.len() < min_bytes) {
            let problem =
                format!("must be secrets of at least {min_bytes} characters each, separated by commas");
            env.refuse(JWT_SECRET_PREVIOUS, problem);
        }
        Self { current, previous }
    }
}

/// Reads [`PUBLIC_URL`], without a slash at its end; what is not an address of the form `https://host` or
/// `https://host:port` (or `http://`) is remembered as a mistake in `env`.
#[must_use]
pub fn public_url(env: &mut Env) -> Option<String> {
    let text = env.text(PUBLIC_URL)?;
    let url = text.strip_suffix('/').unwrap_or(&text);
    if !is_origin(url) {
        env.refuse(PUBLIC_URL, "must be of the form https://chat.example.org, without a path");
        return None;
    }
    Some(url.to_owned())
}

fn is_origin(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let origin = uri.scheme_str().zip(uri.authority()).map(|(scheme, host)| format!("{scheme}://{host}"));
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        // Whatever else there was (a path, a query, a fragment) is not in what the parts make up.
        && origin.is_some_and(|origin| origin == url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        Env::from_pairs(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn secrets_are_read_and_short_ones_refused_without_being_shown() {
        let (a, b, c) = ("a".repeat(32), "b".repeat(32), "c".repeat(40));
        let mut good = env(&[(JWT_SECRET, &a), (JWT_SECRET_PREVIOUS, &format!("{b}, {c},"))]);
        let secrets = Secrets::from_env(&mut good, 32);
        assert_eq!((&secrets.current, &secrets.previous), (&a, &vec![b.clone(), c]));
        assert_eq!(format!("{secrets:?}"), "Secrets");
        assert_eq!(good.finish(), Ok(()));

        let mut bad = env(&[(JWT_SECRET, "short"), (JWT_SECRET_PREVIOUS, &format!("{b},brief"))]);
        let _ = Secrets::from_env(&mut bad, 32);
        let errors = bad.finish().unwrap_err();
        let names: Vec<&str> = errors.0.iter().map(|mistake| mistake.name.as_str()).collect();
        assert_eq!(names, [JWT_SECRET, JWT_SECRET_PREVIOUS]);
        let told = errors.to_string();
        assert!(!told.contains("short") && !told.contains("brief") && !told.contains(&b), "{told}");
    }

    #[test]
    fn a_missing_secret_is_a_mistake_and_missing_previous_ones_are_not() {
        let mut env = env(&[]);
        assert_eq!(Secrets::from_env(&mut env, 32).previous, Vec::<String>::new());
        assert_eq!(env.finish().unwrap_err().0.len(), 1);
    }

    #[test]
    fn a_public_address_is_an_origin() {
        for (given, read) in [
            ("https://chat.example.org", "https://chat.example.org"),
            ("https://chat.example.org/", "https://chat.example.org"),
            ("http://[::1]:5000", "http://[::1]:5000"),
        ] {
            let mut env = env(&[(PUBLIC_URL, given)]);
            assert_eq!(public_url(&mut env).as_deref(), Some(read));
            assert_eq!(env.finish(), Ok(()));
        }
        assert_eq!(public_url(&mut env(&[])), None);
        for wrong in [
            "chat.example.org",
            "https://",
            "ftp://chat.example.org",
            "https://chat.example.org/chat",
            "https://chat.example.org//",
            "https://chat.example.org?a",
            "https://chat.example.org#a",
            "https://me:secret@chat.example.org",
            "https://chat.example.org,https://b",
        ] {
            let mut env = env(&[(PUBLIC_URL, wrong)]);
            assert_eq!(public_url(&mut env), None, "{wrong}");
            assert_eq!(env.finish().unwrap_err().0.len(), 1, "{wrong}");
        }
    }
}
