//! What kinds of files are taken, and how a file is known to be of one.
//!
//! What is stored and served is what the bytes say, never what a client calls them: a page that says it is a picture
//! would otherwise be served from our own address to whoever clicks on it.

/// How many bytes of a file tell its kind, if it has as many.
pub(super) const HEAD: usize = 512;

const TEXT: &str = "text/plain";

/// A media type that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(pub(super) &'static str);

/// What is taken, in words.
pub(super) const TAKEN: &str = "PNG, JPEG, GIF, WebP and AVIF pictures; MP3, MP4, Ogg and WebM audio and video; PDF, ZIP, and \
                                plain text in UTF-8";

impl Kind {
    /// The kind of a file that begins with `head` and that the client says is of the type `declared`. `None` if it is
    /// of no kind that is taken, or of another than the client says.
    pub(super) fn of(declared: Option<&str>, head: &[u8]) -> Option<Self> {
        let declared = declared.map(essence).filter(|essence| !says_nothing(essence));
        let declared = declared.as_deref().map(canonical);
        let possible = match signature(head) {
            Some(possible) => possible,
            // Markup without a declared type is refused: it would be stored as plain text, which its sender hardly
            // meant.
            None if declared.is_none() && is_markup(head) => return None,
            None => &[TEXT],
        };
        match declared {
            None => possible.first().copied().map(Self),
            Some(declared) => possible.iter().copied().find(|kind| *kind == declared).map(Self),
        }
    }

    /// Whether every byte has to be looked at, for nothing at the beginning tells.
    pub(super) fn is_text(self) -> bool {
        self.0 == TEXT
    }
}

/// A media type as it is sent in an answer.
pub(super) fn served(stored: &str) -> String {
    if stored == TEXT { format!("{TEXT}; charset=utf-8") } else { stored.to_owned() }
}

/// Whether browsers may show a file of this type where they meet it. Nothing that could contain a script is among them.
pub(super) fn is_shown(stored: &str) -> bool {
    ["image/", "audio/", "video/"].iter().any(|family| stored.starts_with(family))
}

/// How the names of files of this type end.
pub(super) fn extension(stored: &str) -> &'static str {
    match stored {
        "image/png" => "png",
        "image/jpeg" => "jpg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "image/avif" => "avif",
        "application/pdf" => "pdf",
        "application/zip" => "zip",
        "audio/mpeg" => "mp3",
        "audio/mp4" => "m4a",
        "video/mp4" => "mp4",
        "audio/ogg" => "ogg",
        "video/ogg" => "ogv",
        "audio/webm" => "weba",
        "video/webm" => "webm",
        TEXT => "txt",
        _ => "bin",
    }
}

/// The types that a file may have that begins so; the first where the client says nothing. Signatures are those of the
/// WHATWG's standard "MIME Sniffing".
fn signature(head: &[u8]) -> Option<&'static [&'static str]> {
    let brand = |brands: &[&[u8; 4]]| has_brand(head, brands);
    Some(match head {
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => &["image/png"],
        [0xFF, 0xD8, 0xFF, ..] => &["image/jpeg"],
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => &["image/gif"],
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', b'V', b'P', ..] => &["image/webp"],
        [b'%', b'P', b'D', b'F', b'-', ..] => &["application/pdf"],
        // With entries, or without any.
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => &["application/zip"],
        [b'I', b'D', b'3', 2..=4, ..] => &["audio/mpeg"],
        [0xFF, second, third, ..] if is_mp3_frame(*second, *third) => &["audio/mpeg"],
        [b'O', b'g', b'g', b'S', 0, ..] => &["audio/ogg", "video/ogg"],
        [0x1A, 0x45, 0xDF, 0xA3, ..] if is_webm(head) => &["video/webm", "audio/webm"],
        _ if brand(&[b"avif", b"avis"]) => &["image/avif"],
        _ if brand(&[b"M4A ", b"M4B "]) => &["audio/mp4", "video/mp4"],
        _ if brand(&[
            b"mp41", b"mp42", b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"avc1", b"M4V ", b"dash",
        ]) =>
        {
            &["video/mp4", "audio/mp4"]
        }
        _ => return None,
    })
}

/// Whether the first box of an ISO media file (size, `ftyp`, brand, version, further brands) names one of these.
fn has_brand(head: &[u8], brands: &[&[u8; 4]]) -> bool {
    let Some((size, rest)) = head.split_first_chunk::<4>() else { return false };
    let size = u32::from_be_bytes(*size) as usize;
    let Some(body) = rest.strip_prefix(b"ftyp") else { return false };
    if size < 16 || !size.is_multiple_of(4) {
        return false;
    }
    let named = &body[..body.len().min(size - 8)];
    // The second is the version of the first.
    named.chunks_exact(4).enumerate().any(|(n, name)| n != 1 && brands.iter().any(|brand| *brand == name))
}

/// Whether a header of MPEG audio of the third layer goes on with these two bytes, none of its values being reserved.
fn is_mp3_frame(second: u8, third: u8) -> bool {
    let (sync, version, layer) = (second & 0xE0, second >> 3 & 3, second >> 1 & 3);
    let (bitrate, sampling) = (third >> 4, third >> 2 & 3);
    sync == 0xE0 && version != 1 && layer == 1 && (1..15).contains(&bitrate) && sampling != 3
}

/// Whether the header of an EBML file says that it is WebM: element 4282, a length of four, and the word.
fn is_webm(head: &[u8]) -> bool {
    head[..head.len().min(64)].windows(7).any(|part| part == b"\x42\x82\x84webm")
}

/// Whether a text begins as HTML, SVG or XML do.
fn is_markup(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    matches!(text, [b'<', b'!' | b'?' | b'/' | b'a'..=b'z' | b'A'..=b'Z', ..])
}

/// A media type without its parameters.
fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// What clients send who do not know.
fn says_nothing(essence: &str) -> bool {
    matches!(
        essence,
        "" | "application/octet-stream" | "binary/octet-stream" | "application/x-www-form-urlencoded"
    )
}

/// The one name of a type that has several, and the name of plain text for texts that are to be read as they are.
fn canonical(essence: &str) -> &str {
    match essence {
        "image/jpg" | "image/pjpeg" => "image/jpeg",
        "image/x-png" => "image/png",
        "application/x-pdf" => "application/pdf",
        "application/x-zip" | "application/x-zip-compressed" => "application/zip",
        "audio/mp3" | "audio/x-mp3" | "audio/x-mpeg" => "audio/mpeg",
        "audio/m4a" | "audio/x-m4a" => "audio/mp4",
        "application/ogg" => "audio/ogg",
        "text/csv" | "text/markdown" => TEXT,
        other => other,
    }
}

/// Whether bytes that come in pieces are a text in UTF-8 without control characters but tabs and ends of lines.
#[derive(Debug, Default)]
pub(super) struct TextCheck {
    /// The beginning of a character whose end is still to come.
    begun: Vec<u8>,
}

impl TextCheck {
    /// Looks at the next piece. False if it cannot be part of such a text.
    pub(super) fn goes_on(&mut self, piece: &[u8]) -> bool {
        let joined;
        let bytes = if self.begun.is_empty() {
            piece
        } else {
            joined = [&self.begun, piece].concat();
            &joined
        };
        let (text, begun) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, &[][..]),
            // Without a length the end is missing, and what it has is no mistake.
            Err(error) if error.error_len().is_none() => {
                let (whole, begun) = bytes.split_at(error.valid_up_to());
                (std::str::from_utf8(whole).unwrap_or_default(), begun)
            }
            Err(_) => return false,
        };
        let good = text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'));
        self.begun = begun.to_vec();
        good
    }

    /// Whether the text may end here.
    pub(super) fn may_end(&self) -> bool {
        self.begun.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(declared: &str, head: &[u8]) -> Option<&'static str> {
        Kind::of((!declared.is_empty()).then_some(declared), head).map(|kind| kind.0)
    }

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    #[test]
    fn each_kind_is_known_by_its_bytes() {
        for (head, kind) in [
            (PNG, "image/png"),
            (b"\xFF\xD8\xFF\xE0\0\x10JFIF", "image/jpeg"),
            (b"GIF89a\x01\0", "image/gif"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
            (b"\0\0\0\x1Cftypavif\0\0\0\0mif1avifmiaf", "image/avif"),
            (b"\0\0\0\x1Cftypmif1\0\0\0\0miafavifMA1B", "image/avif"),
            (b"%PDF-1.7\n", "application/pdf"),
            (b"PK\x03\x04\x14\0", "application/zip"),
            (b"ID3\x04\0\0", "audio/mpeg"),
            (b"\xFF\xFB\x90\x64", "audio/mpeg"),
            (b"OggS\0\x02", "audio/ogg"),
            (b"\x1A\x45\xDF\xA3\x9F\x42\x86\x81\x01\x42\x82\x84webm", "video/webm"),
            (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", "video/mp4"),
            (b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42", "audio/mp4"),
            ("Grüße\n".as_bytes(), "text/plain"),
        ] {
            assert_eq!(of("", head), Some(kind));
            assert_eq!(of("application/octet-stream", head), Some(kind));
            assert_eq!(of(&format!("{}; a=b", kind.to_uppercase()), head), Some(kind));
            assert_ne!(extension(kind), "bin");
        }
    }

    #[test]
    fn what_a_client_says_must_be_so() {
        assert_eq!(of("image/jpeg", PNG), None);
        assert_eq!(of("text/plain", PNG), None);
        assert_eq!(of("image/png", b"<!doctype html><script>alert(1)</script>"), None);
        assert_eq!(of("image/png", b"\x89PNG"), None, "half a signature");
        // What a file may be, of which the bytes tell only the container.
        assert_eq!(of("audio/webm;codecs=opus", b"\x1A\x45\xDF\xA3\x42\x82\x84webm"), Some("audio/webm"));
        assert_eq!(of("video/ogg", b"OggS\0"), Some("video/ogg"));
        assert_eq!(of("image/jpg", b"\xFF\xD8\xFF\xE0"), Some("image/jpeg"));
        assert_eq!(of("text/csv", b"a,b\n"), Some("text/plain"));
    }

    #[test]
    fn markup_is_a_text_or_nothing() {
        for markup in
            [&b"<svg onload='x'>"[..], b" \n<!DOCTYPE html>", b"\xEF\xBB\xBF<?xml version='1.0'?>", b"<p>"]
        {
            assert_eq!(of("", markup), None);
            assert_eq!(of("image/svg+xml", markup), None);
            assert_eq!(of("text/html", markup), None);
            assert_eq!(of("text/plain", markup), Some("text/plain"));
        }
        assert_eq!(of("", b"<3"), Some("text/plain"));
        assert!(!is_shown("text/plain") && !is_shown("application/pdf") && is_shown("image/png"));
    }

    #[test]
    fn what_only_looks_like_a_kind_is_none() {
        // QuickTime, HEIC, Matroska, a box that is too short, and AAC, which has the same beginning as MP3.
        for head in [
            &b"\0\0\0\x14ftypqt  \0\0\0\0qt  "[..],
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            b"\x1A\x45\xDF\xA3\x42\x82\x88matroska",
            b"\0\0\0\x0Cftypisom",
            b"\xFF\xF1\x50\x80",
        ] {
            assert_eq!(signature(head), None);
        }
        // A version is no brand.
        assert_eq!(signature(b"\0\0\0\x14ftypqt  isomqt  "), None);
    }

    #[test]
    fn a_text_is_one_to_its_end_wherever_it_is_cut() {
        let text = "Grüße, 名前 😀\r\n\t!".as_bytes();
        for cut in 0..text.len() {
            let mut check = TextCheck::default();
            assert!(check.goes_on(&text[..cut]) && check.goes_on(&text[cut..]) && check.may_end(), "{cut}");
        }
        let mut check = TextCheck::default();
        assert!(check.goes_on(b"\xF0\x9F") && check.goes_on(b"\x98") && !check.may_end());
        assert!(!check.goes_on(b"x"), "a character that never ends");
        for wrong in [&b"\0"[..], b"\x1B[31m", b"\x7F", b"\xC2\x85", b"\xFF\xFE", b"\x0C"] {
            assert!(!TextCheck::default().goes_on(wrong), "{wrong:?}");
        }
    }
}
