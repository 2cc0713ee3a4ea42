//! What the machine is: the version of its C library, and of the `mongod` at a path.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

/// Programs that only tell their version are not waited for any longer.
const VERSION_DEADLINE: Duration = Duration::from_secs(20);

/// The version of the GNU C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Glibc {
    pub(super) major: u32,
    pub(super) minor: u32,
}

/// The version of a `mongod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 8 in 8.2.0.
    pub major: u32,
    /// 2 in 8.2.0.
    pub minor: u32,
    /// 0 in 8.2.0.
    pub patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Why a `mongod` does not tell its version.
#[derive(Debug)]
pub(super) struct NoVersion {
    /// What it wrote.
    pub(super) output: String,
    /// The shared library that the loader did not find.
    pub(super) missing_library: Option<String>,
}

/// The glibc of this machine; `None` where there is another C library.
pub(super) async fn glibc() -> Option<Glibc> {
    let getconf = Command::new("getconf").arg("GNU_LIBC_VERSION").stdin(Stdio::null()).output().await;
    if let Some(found) = getconf.ok().and_then(|output| parse_glibc(&text(&output.stdout))) {
        return Some(found);
    }
    let ldd = Command::new("ldd").arg("--version").stdin(Stdio::null()).output().await.ok()?;
    parse_glibc(&text(&ldd.stdout))
}

/// Reads `glibc 2.36` of getconf, and the first line of ldd: `ldd (Debian GLIBC 2.36-9+deb12u14) 2.36`.
fn parse_glibc(output: &str) -> Option<Glibc> {
    let line = output.lines().next()?;
    // The C library of Alpine also has an ldd, which says `musl libc`.
    if !(line.starts_with("glibc") || line.starts_with("ldd (")) {
        return None;
    }
    let (major, minor) = line.split_whitespace().next_back()?.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some(Glibc { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

/// Asks the `mongod` at `path` for its version, with libraries from `libraries` where given.
pub(super) async fn version(path: &Path, libraries: Option<&Path>) -> Result<Version, NoVersion> {
    let mut command = Command::new(path);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    if let Some(libraries) = libraries {
        command.env("LD_LIBRARY_PATH", library_path(libraries));
    }
    let failed = |output: String| NoVersion { missing_library: missing_library(&output), output };
    match tokio::time::timeout(VERSION_DEADLINE, command.output()).await {
        Err(_) => Err(failed("it does not tell its version".to_owned())),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok(output)) => parse_version(&text(&output.stdout)).ok_or_else(|| failed(complaint(&output))),
    }
}

/// `libraries` before what is set already.
pub(super) fn library_path(libraries: &Path) -> std::ffi::OsString {
    let set = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let paths = std::iter::once(PathBuf::from(libraries))
        .chain(std::env::split_paths(&set).filter(|path| !path.as_os_str().is_empty()));
    // Only a path with a colon cannot be joined, and such a path cannot be searched for libraries at all.
    std::env::join_paths(paths).unwrap_or_else(|_| libraries.into())
}

fn parse_version(output: &str) -> Option<Version> {
    let number = output.lines().find_map(|line| line.strip_prefix("db version v"))?;
    parse_number(number)
}

/// Reads `8.2.0`, and `8.2` as the first of its kind.
pub(super) fn parse_number(number: &str) -> Option<Version> {
    // A release candidate says `8.3.0-rc1`.
    let mut parts = number.trim().split(['.', '-']).map(|part| part.parse().ok());
    let mut next = || parts.next().flatten();
    Some(Version { major: next()?, minor: next()?, patch: next().unwrap_or(0) })
}

fn missing_library(output: &str) -> Option<String> {
    let (_, after) = output.split_once("error while loading shared libraries: ")?;
    let (library, _) = after.split_once(':')?;
    Some(library.trim().to_owned())
}

fn complaint(output: &Output) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    let said = text(&output.stderr);
    match said.trim() {
        // Every x86-64 server since MongoDB 5 is built for processors with AVX.
        "" if output.status.signal() == Some(4) => "this processor lacks AVX, which MongoDB needs".to_owned(),
        "" => output.status.to_string(),
        said => said.to_owned(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_of_glibc() {
        let found = |text| parse_glibc(text).map(|glibc| (glibc.major, glibc.minor));
        assert_eq!(found("glibc 2.36\n"), Some((2, 36)));
        assert_eq!(found("ldd (Debian GLIBC 2.36-9+deb12u14) 2.36\nCopyright"), Some((2, 36)));
        assert_eq!(found("ldd (GNU libc) 2.34\n"), Some((2, 34)));
        assert_eq!(found("musl libc (x86_64)\nVersion 1.2.4\n"), None);
        assert_eq!(found(""), None);
    }

    #[test]
    fn reads_the_version_of_mongod() {
        let found = |text| parse_version(text).map(|version| version.to_string());
        assert_eq!(found("db version v8.2.0\nBuild Info: {"), Some("8.2.0".to_owned()));
        assert_eq!(found("db version v8.3.0-rc1\n"), Some("8.3.0".to_owned()));
        assert_eq!(found("hello"), None);
        assert_eq!(parse_number("8.2\n"), Some(Version { major: 8, minor: 2, patch: 0 }));
        assert_eq!(parse_number("8"), None);
    }

    #[test]
    fn a_missing_library_is_named() {
        let said =
            "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file";
        assert_eq!(missing_library(said).as_deref(), Some("libcurl.so.4"));
        assert_eq!(missing_library("segmentation fault"), None);
    }
}
