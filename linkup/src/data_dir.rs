//! The data directory: one launcher at a time, and what it leaves there for other commands.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Held locked by the launcher that uses the directory; holds its process id.
const LOCK: &str = "launcher.lock";
/// The address of the running launcher's MongoDB.
const URI: &str = "mongodb.uri";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It cannot be made, or not be written to.
    #[error(
        "the data directory {path} cannot be used ({source}); choose one that can be written to with --data-dir"
    )]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another launcher runs on it.
    #[error(
        "the data directory {path} is in use by another launcher{}; stop that one, or choose another directory with --data-dir",
        process.map(|id| format!(" (process {id})")).unwrap_or_default()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other launcher.
        process: Option<u32>,
    },
}

/// A data directory that belongs to this process until the value is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// The address of this launcher's MongoDB, to be found by others as long as this value lives.
#[derive(Debug)]
pub struct PublishedUri {
    file: PathBuf,
}

impl DataDir {
    /// Makes the directory if it is missing, readable by its owner only, and takes possession of it.
    ///
    /// # Errors
    ///
    /// When it cannot be written to, or another launcher uses it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        let path = made.and_then(|()| fs::canonicalize(path)).map_err(unusable)?;
        let lock = File::options().create(true).truncate(false).read(true).write(true).open(path.join(LOCK));
        let mut lock = lock.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::InUse { process: holder(&mut lock), path });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        remove_stale_uri(&path).map_err(unusable)?;
        write_holder(&mut lock).map_err(unusable)?;
        Ok(Self { path, _lock: lock })
    }

    /// The directory, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets other commands find this launcher's MongoDB.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written to.
    pub fn publish(&self, uri: &str) -> Result<PublishedUri, DataDirError> {
        let file = self.path.join(URI);
        let draft = self.path.join("mongodb.uri.new");
        fs::write(&draft, format!("{uri}\n"))
            .and_then(|()| fs::rename(&draft, &file))
            .map_err(|source| DataDirError::Unusable { path: self.path.clone(), source })?;
        Ok(PublishedUri { file })
    }

    /// The address that the launcher which uses `path` has published, if it has come so far. Meaningful only
    /// while [`DataDir::open`] says that the directory is in use: a killed launcher leaves its address behind
    /// until the next one opens the directory.
    #[must_use]
    pub fn published(path: &Path) -> Option<String> {
        fs::read_to_string(path.join(URI)).ok().map(|text| text.trim().to_owned())
    }

    /// The text of a private file, and whether it was made just now, with what `make` returns. Readable by
    /// its owner only.
    ///
    /// # Errors
    ///
    /// When it can be neither read nor written.
    pub fn private(&self, name: &str, make: impl FnOnce() -> String) -> Result<(String, bool), DataDirError> {
        let file = self.path.join(name);
        let read_or_made = match fs::read_to_string(&file) {
            Ok(text) => Ok((text.trim().to_owned(), false)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => write_private(&file, make()),
            Err(error) => Err(error),
        };
        read_or_made.map_err(|source| DataDirError::Unusable { path: file, source })
    }
}

impl Drop for PublishedUri {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.file));
    }
}

/// Written aside and moved into place, so that a crash leaves no half of it.
fn write_private(path: &Path, text: String) -> io::Result<(String, bool)> {
    let draft = path.with_extension("new");
    let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok((text, true))
}

/// Removes the address that a killed launcher has left: nobody answers there, or by now somebody else.
fn remove_stale_uri(path: &Path) -> io::Result<()> {
    match fs::remove_file(path.join(URI)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_holder(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_second_launcher_is_refused_and_told_who_is_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a").join("b");
        let first = DataDir::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        let refused = DataDir::open(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn what_cannot_be_a_directory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let refused = DataDir::open(&folder.path().join("file").join("x")).unwrap_err().to_string();
        assert!(refused.contains("--data-dir"), "{refused}");
    }

    #[test]
    fn an_address_is_published_as_long_as_it_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path()).unwrap();
        let published = dir.publish("mongodb://a").unwrap();
        assert_eq!(DataDir::published(folder.path()).as_deref(), Some("mongodb://a"));
        drop(published);
        assert_eq!(DataDir::published(folder.path()), None);
    }

    #[test]
    fn the_address_of_a_killed_launcher_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(URI), "mongodb://killed\n").unwrap();
        let _dir = DataDir::open(folder.path()).unwrap();
        assert_eq!(DataDir::published(folder.path()), None);
    }

    #[test]
    fn a_private_file_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path()).unwrap();
        assert_eq!(dir.private("key", || "one".to_owned()).unwrap(), ("one".to_owned(), true));
        assert_eq!(dir.private("key", || "two".to_owned()).unwrap(), ("one".to_owned(), false));
        assert_eq!(mode(&folder.path().join("key")), 0o600);
    }
}
