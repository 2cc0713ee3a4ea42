//! Hashes of passwords: made, kept and compared here. Their text leaves this crate for the database only.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::phc;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use serde::{Deserialize, Serialize};

/// The hash of a password nobody knows, with the same parameters as real ones.
const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$bGlua3VwLW5vYm9keS1zYWx0$\
                            5gv+wXJGJrTMBZP3UzoWT3QDUyIb7ZJR9Z+IDqjkVZ0";

/// A password could not be hashed, or a hash not be read.
#[derive(Debug, thiserror::Error)]
#[error("a password could not be hashed or compared: {0}")]
pub struct HashError(Error);

/// The hash of a password: Argon2id, in the PHC string format. It is stored with its user and compared with, and there
/// is no way to its text and none to print it. Empty where a query left it out: then no password is the right one.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

impl From<String> for PasswordHash {
    /// A hash that was made before, in the PHC string format.
    fn from(hash: String) -> Self {
        Self(hash)
    }
}

impl PasswordHash {
    /// Hashes a password with a fresh salt: Argon2id, 19 MiB, two passes, one lane, the crate's and OWASP's
    /// recommendation. Takes tens of milliseconds of the calling thread.
    ///
    /// # Errors
    ///
    /// When the system has no entropy for the salt.
    pub fn of(password: &str) -> Result<Self, HashError> {
        let hash: phc::PasswordHash =
            Argon2::default().hash_password(password.as_bytes()).map_err(HashError)?;
        Ok(Self(hash.to_string()))
    }

    /// The hash of no password at all. To compare with it takes as long as with a real one, so that the time of an
    /// answer does not tell whether there is one.
    #[must_use]
    pub fn nobodys() -> Self {
        Self(NOBODYS_HASH.to_owned())
    }

    /// Whether `password` is the one that was hashed. Takes as long as hashing it.
    ///
    /// # Errors
    ///
    /// When what is stored is no hash.
    pub fn verify(&self, password: &str) -> Result<bool, HashError> {
        let hash = phc::PasswordHash::new(&self.0).map_err(|error| HashError(error.into()))?;
        match Argon2::default().verify_password(password.as_bytes(), &hash) {
            Ok(()) => Ok(true),
            Err(Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(HashError(error)),
        }
    }

    pub(crate) fn stored(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_verifies_its_password_only_and_is_salted() {
        let one = PasswordHash::of("correct horse").unwrap();
        assert!(one.stored().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(one.verify("correct horse").unwrap());
        assert!(!one.verify("wrong horse").unwrap());
        assert_ne!(one, PasswordHash::of("correct horse").unwrap());
        assert!(PasswordHash::from("plain text".to_owned()).verify("x").is_err());
    }

    #[test]
    fn nobodys_hash_costs_as_much_as_a_real_one() {
        assert!(!PasswordHash::nobodys().verify("anything").unwrap());
        let parameters =
            |hash: &PasswordHash| hash.stored().split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parameters(&PasswordHash::nobodys()), parameters(&PasswordHash::of("x").unwrap()));
    }

    #[test]
    fn a_hash_is_not_printed() {
        assert_eq!(format!("{:?}", PasswordHash::nobodys()), "PasswordHash");
    }
}
