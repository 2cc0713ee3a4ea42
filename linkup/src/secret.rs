//! The secret that tokens are signed with: given, or made once and kept in the data directory.
//!
//! Earlier secrets, which still verify, come from the environment alone (`JWT_SECRET_PREVIOUS`). One that was kept here
//! can become one of those: the file holds its text.

use std::fmt;
use std::fs;
use std::path::Path;

use protocol::token::{MIN_SECRET_BYTES, Tokens};
use service::config::{ConfigErrors, Env, Mistake};

use crate::console::say;
use crate::data_dir::DataDir;
use crate::error::LaunchError;

pub use service::shared::JWT_SECRET;

/// The file of the data directory that holds a generated one.
pub const FILE: &str = "jwt-secret";

/// A secret of at least [`MIN_SECRET_BYTES`]. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// The secret of the environment, if it has one.
    ///
    /// # Errors
    ///
    /// When it is too short.
    pub fn given(env: &Env) -> Result<Option<Self>, LaunchError> {
        match (env.text(JWT_SECRET), problem(env)) {
            (None, _) => Ok(None),
            (Some(text), None) => Ok(Some(Self(text))),
            (Some(_), Some(problem)) => {
                let mistake = Mistake { name: JWT_SECRET.to_owned(), problem };
                Err(ConfigErrors(vec![mistake]).into())
            }
        }
    }

    /// The secret of the data directory, made there on the first start; a line tells when that is now.
    ///
    /// # Errors
    ///
    /// When the file can be neither read nor written, or was damaged.
    pub fn kept(dir: &DataDir) -> Result<Self, LaunchError> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| LaunchError::NoRandomness(error.to_string()))?;
        let make = || random.iter().map(|byte| format!("{byte:02x}")).collect();
        let (text, made) = dir.private(FILE, make)?;
        let path = dir.path().join(FILE);
        if text.len() < MIN_SECRET_BYTES {
            return Err(LaunchError::KeptSecret { path });
        }
        if made {
            say(&format!("Made a JWT secret for development and kept it as {}", path.display()));
        }
        Ok(Self(text))
    }

    /// The secret that the launcher which runs on `data_dir` keeps there; `None` if it was given its secret.
    #[must_use]
    pub fn of_launcher(data_dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(data_dir.join(FILE)).ok()?;
        Some(text.trim()).filter(|text| text.len() >= MIN_SECRET_BYTES).map(|text| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Signs and verifies with this secret.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        Tokens::new(self.0.as_bytes())
    }
}

/// Remembers in `env` when it has no secret that can be used, saying what to do.
pub fn require(env: &mut Env) {
    if let Some(problem) = problem(env) {
        env.refuse(JWT_SECRET, problem);
    }
}

fn problem(env: &Env) -> Option<String> {
    let problem = match env.text(JWT_SECRET) {
        Some(text) if text.len() >= MIN_SECRET_BYTES => return None,
        Some(_) => "is too short",
        None => "is required when MongoDB is not the launcher's own",
    };
    Some(format!(
        "{problem}; set it to at least {MIN_SECRET_BYTES} random bytes, the same for every process \
         (`openssl rand -hex 32` makes some)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(secret: Option<&str>) -> Env {
        Env::from_pairs(secret.map(|text| (JWT_SECRET.to_owned(), text.to_owned())))
    }

    #[test]
    fn a_missing_or_short_secret_is_refused_without_being_shown() {
        for secret in [None, Some("short-secret")] {
            let mut env = env(secret);
            require(&mut env);
            let text = env.finish().unwrap_err().to_string();
            assert!(text.contains("openssl rand") && !text.contains("short-secret"), "{text}");
        }
        assert!(Secret::given(&env(Some("short-secret"))).is_err());
        assert_eq!(Secret::given(&env(None)).unwrap(), None);
        let long = "x".repeat(MIN_SECRET_BYTES);
        let secret = Secret::given(&env(Some(&long))).unwrap().unwrap();
        assert_eq!(secret.expose(), long);
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn a_generated_secret_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Secret::of_launcher(folder.path()), None);
        let dir = DataDir::open(folder.path()).unwrap();
        let first = Secret::kept(&dir).unwrap();
        assert_eq!(first.expose().len(), 64);
        assert_eq!(Secret::kept(&dir).unwrap(), first);
        assert_eq!(Secret::of_launcher(folder.path()), Some(first));
        fs::write(folder.path().join(FILE), "cut").unwrap();
        assert!(matches!(Secret::kept(&dir), Err(LaunchError::KeptSecret { .. })));
        assert_eq!(Secret::of_launcher(folder.path()), None);
    }
}
