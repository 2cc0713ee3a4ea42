//! How gateways tell each other where they are: a polling session lives on one gateway, and its id names that one, so
//! that a request which reaches another can be passed on.
//!
//! The name is the gateway's address under a seal: whoever makes up a session id cannot send a gateway anywhere.

use crate::token::Tokens;

/// How much of the seal is in the name: 96 bits.
const SEAL_CHARS: usize = 16;

/// The name of the gateway that others reach at `url` (`http://10.0.0.7:5000`): letters, digits, `-`, `_` and `.` only.
/// `None` when sealing fails, which it does not.
#[must_use]
pub fn name(tokens: &Tokens, url: &str) -> Option<String> {
    let mut seal = tokens.seal(&sealed_text(url))?;
    seal.truncate(SEAL_CHARS);
    let hex: String = url.bytes().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{hex}.{seal}"))
}

/// Where the gateway of this name is; `None` unless a gateway with one of our secrets made it.
#[must_use]
pub fn url(tokens: &Tokens, name: &str) -> Option<String> {
    let (hex, _) = name.split_once('.')?;
    if hex.len() % 2 != 0 || !hex.is_ascii() {
        return None;
    }
    let bytes: Option<Vec<u8>> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect();
    let url = String::from_utf8(bytes?).ok()?;
    tokens.seals(&sealed_text(&url)).any(|seal| is_name(name, hex, &seal)).then_some(url)
}

/// Compares the whole name, whatever differs first.
fn is_name(name: &str, hex: &str, seal: &str) -> bool {
    let right = format!("{hex}.{}", &seal[..SEAL_CHARS.min(seal.len())]);
    let differences = right.bytes().zip(name.bytes()).fold(0, |all, (one, other)| all | (one ^ other));
    right.len() == name.len() && differences == 0
}

fn sealed_text(url: &str) -> String {
    format!("peer:{url}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_its_gateway_and_cannot_be_made_up() {
        let (tokens, address) = (Tokens::new(&[7; 32]), "http://10.0.0.7:5000");
        let named = name(&tokens, address).unwrap();
        assert!(named.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c)), "{named}");
        assert_eq!(url(&tokens, &named).as_deref(), Some(address));
        assert_eq!(url(&Tokens::new(&[8; 32]), &named), None);
        assert_eq!(url(&Tokens::new(&[8; 32]).with_previous([[7; 32]]), &named).as_deref(), Some(address));
        let other = name(&tokens, "http://10.0.0.8:5000").unwrap();
        let (hex, _) = other.split_once('.').unwrap();
        let (_, seal) = named.split_once('.').unwrap();
        for made_up in
            [format!("{hex}.{seal}"), format!("{hex}."), hex.to_owned(), String::new(), "zz.a".to_owned()]
        {
            assert_eq!(url(&tokens, &made_up), None, "{made_up}");
        }
        assert_eq!(url(&tokens, &named.to_uppercase()), None);
    }
}
