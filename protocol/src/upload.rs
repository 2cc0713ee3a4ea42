//! Addresses of uploaded files: as documents hold them, and as clients are shown them.
//!
//! A document holds `/api/uploads/<id>`, which opens nothing. Who may see the document is shown
//! `/api/uploads/<id>/<expires>-<signature>` instead: whoever has that link can fetch the file until it expires,
//! without a token, as `<img src>` needs it. What a client gives back as an address is turned into the stored form only
//! with a good seal, so that nobody gets a link to a file by guessing its identifier.

use std::borrow::Cow;
use std::time::Duration;

use crate::token::Tokens;
use crate::{Id, Timestamp};

/// A link lives at least this long, and at most twice as long: all links to a file that are made in one such period
/// are the same, so that browsers fetch it once.
pub const LINK_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// What every address begins with; the identifier follows.
const PREFIX: &str = "/api/uploads/";

/// The form in which a document holds the address of an upload.
#[must_use]
pub fn stored(id: Id) -> String {
    format!("{PREFIX}{id}")
}

/// The upload whose stored address this is; `None` for every other text.
#[must_use]
pub fn parse_stored(text: &str) -> Option<Id> {
    canonical(text.strip_prefix(PREFIX)?)
}

/// Seals the addresses that clients are shown, and checks what they give back.
#[derive(Clone, Debug)]
pub struct Links {
    tokens: Tokens,
    public_url: Option<String>,
}

impl Links {
    /// Seals with the secret of `tokens`. `public_url` (`https://chat.example.org`, without a slash at its end) is put
    /// before the path, for frontends that are served from elsewhere.
    #[must_use]
    pub fn new(tokens: Tokens, public_url: Option<String>) -> Self {
        Self { tokens, public_url }
    }

    /// How an address that a document holds is shown to whoever may see the document. What is not the stored form
    /// of an upload is shown as it is.
    #[must_use]
    pub fn shown<'a>(&self, stored: &'a str, now: Timestamp) -> Cow<'a, str> {
        let Some(id) = parse_stored(stored) else { return Cow::Borrowed(stored) };
        let expires = format!("{:x}", expiry(now));
        match self.tokens.seal(&sealed_text(id, &expires)) {
            Some(signature) => {
                let base = self.public_url.as_deref().unwrap_or_default();
                Cow::Owned(format!("{base}{stored}/{expires}-{signature}"))
            }
            None => Cow::Borrowed(stored),
        }
    }

    /// When the link with this seal (`<expires>-<signature>`) expires; `None` if the seal is not good for the upload,
    /// or not any more.
    #[must_use]
    pub fn verify(&self, id: Id, seal: &str, now: Timestamp) -> Option<Timestamp> {
        self.expiry_of(id, seal).filter(|expires| now < *expires)
    }

    /// When the link with this seal expires or has expired; `None` if we did not make it.
    fn expiry_of(&self, id: Id, seal: &str) -> Option<Timestamp> {
        let (expires, signature) = seal.split_once('-')?;
        // The signature is over the digits as they came, so there is no second way to write them.
        if !self.tokens.sealed(&sealed_text(id, expires), signature) {
            return None;
        }
        i64::from_str_radix(expires, 16).ok()?.checked_mul(1000).map(Timestamp::from_millis)
    }

    /// What an address is that a client gives. One that we made is known by its seal, whatever host the client had to
    /// put before it to show it; a query or fragment is dropped. The stored form itself is nobody's to give.
    #[must_use]
    pub fn recognise(&self, text: &str, now: Timestamp) -> Given {
        let path = path_of(text);
        let named = path.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/'));
        let sealed = named.and_then(|(id, seal)| {
            let id = canonical(id)?;
            Some((id, self.expiry_of(id, seal)?))
        });
        match sealed {
            Some((id, expires)) if now < expires => Given::Upload(stored(id)),
            Some(_) => Given::Expired,
            None => Given::Other,
        }
    }
}

/// What an address is that a client gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// An upload's, with a good seal: this is its stored form.
    Upload(String),
    /// An upload's that we gave out too long ago.
    Expired,
    /// None that we made.
    Other,
}

/// The path of an address, with a scheme and a host before it or without.
fn path_of(text: &str) -> &str {
    let behind = |scheme: &str| {
        let (start, rest) = text.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let behind = behind("https://").or_else(|| behind("http://"));
    let path = match behind {
        Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => text,
    };
    path.split(['?', '#']).next().unwrap_or_default()
}

/// Only as we write it, so that two addresses of one upload are the same text.
fn canonical(text: &str) -> Option<Id> {
    text.parse().ok().filter(|_| !text.bytes().any(|byte| byte.is_ascii_uppercase()))
}

/// What is signed. It has colons, so it can never be what a token's signature is made over.
fn sealed_text(id: Id, expires: &str) -> String {
    format!("upload:{id}:{expires}")
}

/// When links that are made now expire, in seconds since 1970.
fn expiry(now: Timestamp) -> i64 {
    let period = LINK_PERIOD.as_secs() as i64;
    ((now.millis() / 1000).max(0) / period + 2) * period
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;
    /// The beginning of some day.
    const MIDNIGHT: i64 = 20_000 * DAY;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn links() -> Links {
        Links::new(Tokens::new(&[7; 32]), None)
    }

    /// The seal of a link to an upload.
    fn seal(links: &Links, id: Id, now: Timestamp) -> String {
        let stored = stored(id);
        links.shown(&stored, now).rsplit('/').next().unwrap().to_owned()
    }

    #[test]
    fn the_stored_form_is_read_and_nothing_else() {
        let id: Id = "0123456789abcdef01234567".parse().unwrap();
        assert_eq!(stored(id), "/api/uploads/0123456789abcdef01234567");
        assert_eq!(parse_stored(&stored(id)), Some(id));
        let shown = links().shown(&stored(id), at(MIDNIGHT)).into_owned();
        for other in [
            "",
            "/api/uploads/",
            "/api/uploads/0123456789abcdef0123456",
            "/api/uploads/0123456789ABCDEF01234567",
            "/api/uploads/0123456789abcdef01234567/",
            "/api/uploads/0123456789abcdef01234567?a",
            "api/uploads/0123456789abcdef01234567",
            "https://elsewhere.example/api/uploads/0123456789abcdef01234567",
            &shown,
        ] {
            assert_eq!(parse_stored(other), None, "{other}");
            assert!(matches!(links().shown(other, at(MIDNIGHT)), Cow::Borrowed(same) if same == other));
        }
    }

    #[test]
    fn links_of_one_day_are_the_same_and_live_for_one_to_two_days() {
        let (links, id) = (links(), Id::mint());
        let first = seal(&links, id, at(MIDNIGHT));
        assert_eq!(first.split_once('-').unwrap().0, format!("{:x}", (MIDNIGHT + 2 * DAY) / 1000));
        assert_eq!(first.split_once('-').unwrap().1.len(), 43);
        assert_eq!(first, seal(&links, id, at(MIDNIGHT + DAY - 1)));
        assert_ne!(first, seal(&links, id, at(MIDNIGHT + DAY)));
        let expires = at(MIDNIGHT + 2 * DAY);
        assert_eq!(links.verify(id, &first, at(MIDNIGHT)), Some(expires));
        assert_eq!(links.verify(id, &first, at(expires.millis() - 1)), Some(expires));
        assert_eq!(links.verify(id, &first, expires), None);
    }

    #[test]
    fn no_part_of_a_link_can_be_changed() {
        let (links, id, now) = (links(), Id::mint(), at(MIDNIGHT));
        let good = seal(&links, id, now);
        let (expires, signature) = good.split_once('-').unwrap();
        assert_eq!(links.verify(Id::mint(), &good, now), None);
        let later = format!("{:x}", (MIDNIGHT + 3 * DAY) / 1000);
        let other = seal(&links, Id::mint(), now);
        let of_other = other.split_once('-').unwrap().1;
        for seal in [
            format!("{later}-{signature}"),
            format!("0{expires}-{signature}"),
            format!("+{expires}-{signature}"),
            format!("{}-{signature}", expires.to_uppercase()),
            format!("{expires}-{}", &signature[..42]),
            format!("{expires}-{signature}="),
            format!("{expires}-{signature}/"),
            format!("{expires}-{}", signature.to_lowercase()),
            format!("{expires}-{of_other}"),
            format!("{expires}-"),
            format!("-{signature}"),
            format!("{expires}{signature}"),
            signature.to_owned(),
            String::new(),
        ] {
            assert_eq!(links.verify(id, &seal, now), None, "{seal} for {good}");
        }
        assert_eq!(Links::new(Tokens::new(&[8; 32]), None).verify(id, &good, now), None);
    }

    #[test]
    fn a_seal_is_no_token_and_survives_a_new_secret() {
        let (id, now) = (Id::mint(), Timestamp::now());
        let good = seal(&links(), id, now);
        let rotated = Tokens::new(&[8; 32]).with_previous([[7; 32]]);
        let rotated = Links::new(rotated, None);
        assert!(rotated.verify(id, &good, now).is_some());
        assert_ne!(seal(&rotated, id, now), good, "the new secret signs");
        // A token's signature over its own signing input opens nothing.
        let token = Tokens::new(&[7; 32]).sign(Id::mint(), 0, LINK_PERIOD).unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(links().verify(id, &format!("{input}-{signature}"), now), None);
    }

    #[test]
    fn what_was_shown_is_accepted_back_and_nothing_else() {
        let (id, now) = (Id::mint(), at(MIDNIGHT));
        let (plain, stored) = (links(), stored(id));
        let public = Links::new(Tokens::new(&[7; 32]), Some("https://chat.example.org".to_owned()));
        let path = plain.shown(&stored, now).into_owned();
        let url = public.shown(&stored, now).into_owned();
        assert_eq!(url, format!("https://chat.example.org{path}"));
        let known = Given::Upload(stored.clone());
        for shown in [
            path.clone(),
            format!("{path}?download"),
            format!("{path}#top"),
            format!("{path}?a#b"),
            // As a page on another origin has to write it, with a public address or without.
            url.clone(),
            format!("HTTP://127.0.0.1:5000{path}?a=/b"),
        ] {
            assert_eq!(plain.recognise(&shown, now), known, "{shown}");
            assert_eq!(public.recognise(&shown, now), known, "{shown}");
            assert_eq!(plain.recognise(&shown, at(MIDNIGHT + 2 * DAY)), Given::Expired, "{shown}");
        }
        for other in [
            stored.as_str(),
            &format!("https://chat.example.org{stored}"),
            &format!("{stored}/"),
            &format!("{stored}?{path}"),
            &format!("/api/uploads/../uploads/{id}"),
            &path.replace(&id.to_string(), &Id::mint().to_string()),
            &format!("{path}x"),
            &format!("https:{path}"),
            &format!("ftp://elsewhere.example{path}"),
            &format!("https://elsewhere.example/x{path}"),
            "https://elsewhere.example/picture.png",
            "https://",
            "",
        ] {
            assert_eq!(plain.recognise(other, now), Given::Other, "{other}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", links()), "Links { tokens: Tokens, public_url: None }");
    }
}
