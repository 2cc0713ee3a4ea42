//! What a client is, by its `User-Agent`: one of a fixed list, so that the number of series does not depend on who
//! connects.
//!
//! Many send none at all: `ws`, and with it the stock client in Node where it begins with a WebSocket;
//! `websocket-client` in Python; tungstenite and reqwest in Rust; Starscream without `URLSession`; `ClientWebSocket`
//! in .NET.

use hyper::HeaderMap;
use hyper::header::USER_AGENT;

/// What is known of a client. An index into [`all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agent(u8);

/// The client says nothing.
const NONE: (&str, &str) = ("none", "none");
/// What the client says is not on the list.
const OTHER: (&str, &str) = ("other", "other");
/// What stands before the first product in [`all`].
const SPECIAL: [(&str, &str); 2] = [NONE, OTHER];
/// The version of a product whose versions are not told apart.
const ANY: &str = "any";

/// Something that clients name themselves by, as `<name>/<version>` or as a word alone.
struct Product {
    name: &'static str,
    library: &'static str,
    /// Its major versions that have a series each. What is none of them is `other`; without any, all are [`ANY`].
    versions: &'static [&'static str],
}

const fn product(name: &'static str, library: &'static str, versions: &'static [&'static str]) -> Product {
    Product { name, library, versions }
}

/// Where a client names several, the first of this list counts: every browser claims to be several older ones, too.
const PRODUCTS: [Product; 33] = [
    // Applications and mobile operating systems.
    product("okhttp", "okhttp", &["3", "4", "5"]),
    product("CFNetwork", "cfnetwork", &[]),
    product("Dart", "dart", &["2", "3"]),
    product("UnityPlayer", "unity", &[]),
    product("ktor-client", "ktor", &[]),
    // Python.
    product("aiohttp", "aiohttp", &["3", "4"]),
    product("websockets", "websockets", &["10", "11", "12", "13", "14", "15", "16", "17"]),
    product("python-requests", "requests", &["2"]),
    product("python-httpx", "httpx", &[]),
    // JavaScript outside of browsers. The first is what the stock client polls with in Node.
    product("node-XMLHttpRequest", "node-xmlhttprequest", &[]),
    product("node", "node", &[]),
    product("undici", "undici", &[]),
    product("Deno", "deno", &["1", "2"]),
    product("Bun", "bun", &["1"]),
    // Others.
    product("Go-http-client", "go", &[]),
    product("Java-http-client", "java", &["11", "17", "21", "25"]),
    product("WebSocket++", "websocketpp", &[]),
    product("websocket-sharp", "websocket-sharp", &[]),
    product("k6", "k6", &[]),
    product("curl", "curl", &["7", "8"]),
    // Browsers, and what is built on them.
    product("Electron", "electron", &[]),
    product("Edg", "edge", &[]),
    product("EdgA", "edge", &[]),
    product("EdgiOS", "edge", &[]),
    product("OPR", "opera", &[]),
    product("SamsungBrowser", "samsung", &[]),
    product("Firefox", "firefox", &[]),
    product("FxiOS", "firefox", &[]),
    product("HeadlessChrome", "chrome", &[]),
    product("Chrome", "chrome", &[]),
    product("CriOS", "chrome", &[]),
    product("Safari", "safari", &[]),
    product("Mozilla", "browser", &[]),
];

/// More is not looked at.
const MAX_LENGTH: usize = 512;

impl Product {
    /// The versions that are told apart, in the order of their series.
    fn versions(&self) -> impl Iterator<Item = &'static str> {
        let rest = if self.versions.is_empty() { ANY } else { "other" };
        self.versions.iter().copied().chain([rest])
    }
}

/// Library and version of each [`Agent`], in order. Several products may have the same.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let products =
        PRODUCTS.iter().flat_map(|product| product.versions().map(|version| (product.library, version)));
    SPECIAL.into_iter().chain(products)
}

impl Agent {
    /// A client that says nothing of itself.
    pub(super) const NONE: Self = Self(0);
    const OTHER: Self = Self(1);

    /// What the request's headers say.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match headers.get(USER_AGENT) {
            None => Self::NONE,
            Some(value) => {
                let bytes = value.as_bytes();
                let shown = std::str::from_utf8(&bytes[..bytes.len().min(MAX_LENGTH)]);
                shown.ok().and_then(Self::named).unwrap_or(Self::OTHER)
            }
        }
    }

    fn named(text: &str) -> Option<Self> {
        let found = text.split_ascii_whitespace().filter_map(|word| {
            let (name, version) = word.split_once('/').unwrap_or((word, ""));
            Some((PRODUCTS.iter().position(|product| product.name == name)?, version))
        });
        let (place, version) = found.min_by_key(|(place, _)| *place)?;
        let before = PRODUCTS[..place].iter().map(|product| product.versions().count()).sum::<usize>();
        let known = PRODUCTS[place].versions;
        let major = version.split('.').next().unwrap_or_default();
        let own = known.iter().position(|version| *version == major).unwrap_or(known.len());
        u8::try_from(SPECIAL.len() + before + own).ok().map(Self)
    }

    /// Its place in [`all`].
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn named(text: &str) -> (&'static str, &'static str) {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::try_from(text).unwrap());
        all().nth(Agent::of(&headers).index()).unwrap()
    }

    #[test]
    fn real_clients_are_told_apart_and_everything_else_is_other() {
        for (text, expected) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0", ("firefox", ANY)),
            ("Mozilla/5.0 (compatible; something)", ("browser", ANY)),
            ("okhttp/3.12.12", ("okhttp", "3")),
            ("okhttp/4.12.0", ("okhttp", "4")),
            ("okhttp/5.1.0", ("okhttp", "5")),
            ("okhttp/6.0.0-alpha.1", ("okhttp", "other")),
            ("okhttp", ("okhttp", "other")),
            ("Chat/7 CFNetwork/1568.300.101 Darwin/24.2.0", ("cfnetwork", ANY)),
            ("Dart/3.5 (dart:io)", ("dart", "3")),
            ("Python/3.11 aiohttp/3.9.1", ("aiohttp", "3")),
            ("Python/3.12 websockets/13.1", ("websockets", "13")),
            ("python-requests/2.31.0", ("requests", "2")),
            ("node-XMLHttpRequest", ("node-xmlhttprequest", ANY)),
            ("node", ("node", ANY)),
            ("Go-http-client/1.1", ("go", ANY)),
            ("curl/8.5.0", ("curl", "8")),
            ("Somebody/1.0", OTHER),
            ("", OTHER),
            ("/", OTHER),
            ("notokhttp/3.1", OTHER),
        ] {
            assert_eq!(named(text), expected, "{text}");
        }
        for (end, library) in [
            ("Chrome/141.0.0.0 Safari/537.36", "chrome"),
            ("Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0", "edge"),
            ("Version/18.5 Safari/605.1.15", "safari"),
            ("CriOS/141.0.1 Mobile/15E148 Safari/604.1", "chrome"),
        ] {
            let text =
                format!("Mozilla/5.0 (a system; of some kind) AppleWebKit/537.36 (KHTML, like Gecko) {end}");
            assert_eq!(named(&text), (library, ANY), "{text}");
        }
        assert_eq!(named(&format!("{}okhttp/3.1", " ".repeat(1 << 20))), OTHER, "not looked at");
        assert_eq!(all().next(), Some(NONE));
        assert_eq!(Agent::of(&HeaderMap::new()), Agent::NONE);
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_bytes(b"okhttp/3 \xff").unwrap());
        assert_eq!(Agent::of(&headers), Agent::OTHER);
    }

    #[test]
    fn every_agent_has_a_number() {
        assert!(all().count() <= usize::from(u8::MAX), "{}", all().count());
        let last = PRODUCTS.last().unwrap();
        assert_eq!(named(last.name), all().last().unwrap());
    }
}
