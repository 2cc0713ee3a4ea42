//! The names of files: how clients tell them, what is kept of them, and how they are told.

use hyper::HeaderMap;
use hyper::header::{CONTENT_DISPOSITION, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The longest name, in bytes: what file systems take.
const MAX: usize = 255;

/// The name of the file that is the body, percent-encoded where it is not ASCII.
const X_FILENAME: HeaderName = HeaderName::from_static("x-filename");

/// What is kept of a name: the last part of a path, without what cannot be seen. `None` if nothing is left.
pub(super) fn clean(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let seen: String = last.chars().filter(|c| !c.is_control() && !turns_text(*c)).collect();
    let seen = seen.trim();
    let seen = seen[..seen.floor_char_boundary(MAX)].trim_end();
    // Not `.` and `..` either, which are folders.
    (!seen.chars().all(|c| c == '.')).then(|| seen.to_owned())
}

/// Characters that change the direction of what follows: with them `exe.png` can be made to look like `gnp.exe`.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The name that the headers of a request give its body: `Content-Disposition`, or `X-Filename`.
pub(super) fn of_body(headers: &HeaderMap) -> Option<String> {
    let text = |name: HeaderName| std::str::from_utf8(headers.get(name)?.as_bytes()).ok();
    let disposed = text(CONTENT_DISPOSITION).and_then(disposition_name);
    clean(&disposed.or_else(|| text(X_FILENAME).map(decode))?)
}

/// The name in a `Content-Disposition`; of two the one that is encoded.
fn disposition_name(value: &str) -> Option<String> {
    let mut plain = None;
    for (name, value) in parameters(value) {
        if name.eq_ignore_ascii_case("filename*") {
            // Charset and language come first; every client encodes UTF-8.
            let encoded = value.splitn(3, '\'').nth(2);
            if encoded.is_some() {
                return encoded.map(decode);
            }
        } else if name.eq_ignore_ascii_case("filename") {
            plain.get_or_insert(value);
        }
    }
    plain
}

/// The parameters of a header: names, and values without their quotes.
fn parameters(header: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut rest = header.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((name, behind)) = rest.split_once('=') {
        let (value, left) = value(behind.trim_start());
        found.push((name.trim_matches([' ', '\t', ';']), value));
        rest = left;
    }
    found
}

/// A value, quoted or not, and what is behind it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim().to_owned(), rest);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            c => value.push(c),
        }
    }
    (value, "")
}

/// Undoes percent-encoding; what is none stays as it is.
fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// What stays as it is in an encoded parameter: `attr-char` of RFC 8187.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The `Content-Disposition` of a file of this name. Browsers take the encoded name, and the plain one is for what does
/// not know it (RFC 6266).
pub(super) fn disposition(shown: bool, name: &str) -> HeaderValue {
    let kind = if shown { "inline" } else { "attachment" };
    let is_plain = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%');
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let mut text = format!("{kind}; filename=\"{plain}\"");
    if plain != name {
        text.push_str("; filename*=UTF-8''");
        text.extend(utf8_percent_encode(name, KEPT));
    }
    // All of it is printable ASCII.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_last_part_of_a_path_and_can_be_seen() {
        let clean = |name: &str| clean(name);
        for (name, kept) in [
            ("a.png", "a.png"),
            (" Photo 1.jpg ", "Photo 1.jpg"),
            ("/etc/passwd", "passwd"),
            ("C:\\fakepath\\ä.txt", "ä.txt"),
            ("../../a", "a"),
            ("a\r\nSet-Cookie: b", "aSet-Cookie: b"),
            ("a\0.png", "a.png"),
            ("\u{202E}gnp.exe", "gnp.exe"),
            (".profile", ".profile"),
        ] {
            assert_eq!(clean(name).as_deref(), Some(kept), "{name:?}");
        }
        for name in ["", " ", "/", "a/", "..", "../..", ".", "\u{0}\u{7}"] {
            assert_eq!(clean(name), None, "{name:?}");
        }
        assert_eq!(clean(&"é".repeat(200)).unwrap().len(), 254);
        assert_eq!(clean(&"a".repeat(256)).unwrap().len(), 255);
    }

    #[test]
    fn a_body_is_named_by_its_headers() {
        let named = |name: HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            of_body(&headers)
        };
        for (value, name) in [
            ("attachment; filename=a.png", "a.png"),
            ("attachment; filename=\"a b;c.png\"; x=y", "a b;c.png"),
            ("attachment; FileName=\"a\\\"b.png\"", "a\"b.png"),
            ("attachment; filename=\"ä.png\"", "ä.png"),
            ("attachment; filename=\"_.png\"; filename*=UTF-8''%C3%A4%20.png", "ä .png"),
            ("attachment; filename*=utf-8'en'../%2Fetc%2Fa", "a"),
            ("attachment; filename=\"open", "open"),
        ] {
            assert_eq!(named(CONTENT_DISPOSITION, value).as_deref(), Some(name), "{value}");
        }
        for value in
            ["", "attachment", "attachment; filename", "attachment; filename=", "attachment; name=a.png"]
        {
            assert_eq!(named(CONTENT_DISPOSITION, value), None, "{value}");
        }
        assert_eq!(named(X_FILENAME, "caf%C3%A9%.txt").as_deref(), Some("café%.txt"));
        assert_eq!(of_body(&HeaderMap::new()), None);
    }

    #[test]
    fn names_are_told_so_that_they_cannot_break_out() {
        let text = |shown, name| disposition(shown, name).to_str().unwrap().to_owned();
        assert_eq!(text(true, "a b.png"), "inline; filename=\"a b.png\"");
        assert_eq!(
            text(false, "ä\"; x=\"y.txt"),
            "attachment; filename=\"__; x=_y.txt\"; filename*=UTF-8''%C3%A4%22%3B%20x%3D%22y.txt"
        );
        assert_eq!(text(false, "100%.txt"), "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt");
        assert_eq!(text(false, "\r\n"), "attachment; filename=\"__\"; filename*=UTF-8''%0D%0A");
    }
}
