//! What `linkup seed` tells of what it wrote.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use protocol::Id;
use serde::Serialize;

use crate::error::LaunchError;

/// One line of the output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line<'a> {
    pub(super) user_id: Id,
    pub(super) email: &'a str,
    pub(super) token: String,
    pub(super) conversations: &'a [Id],
}

/// Where the lines go.
pub(super) struct Output {
    lines: BufWriter<Box<dyn Write + Send>>,
    path: PathBuf,
}

impl Output {
    /// Opened before anything is written to the database, so that a mistake in the path costs nothing. Readable by its
    /// owner only, since tokens are as good as passwords.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, LaunchError> {
        let (lines, path): (Box<dyn Write + Send>, _) = match path {
            None => (Box::new(io::stdout()), PathBuf::from("standard output")),
            Some(path) => {
                let file = File::options().create(true).truncate(true).write(true).mode(0o600).open(path);
                // The mode above is for a file that is made; one that was there keeps its own.
                let file = file.and_then(|file| {
                    let regular = file.metadata()?.is_file();
                    if regular {
                        file.set_permissions(Permissions::from_mode(0o600))?;
                    }
                    Ok(file)
                });
                let file = file.map_err(|source| LaunchError::Out { path: path.to_owned(), source })?;
                (Box::new(file), path.to_owned())
            }
        };
        Ok(Self { lines: BufWriter::new(lines), path })
    }

    pub(super) fn line(&mut self, line: &Line<'_>) -> Result<(), LaunchError> {
        let written = serde_json::to_writer(&mut self.lines, line).map_err(io::Error::from);
        written.and_then(|()| self.lines.write_all(b"\n")).map_err(|source| self.failed(source))
    }

    pub(super) fn finish(&mut self) -> Result<(), LaunchError> {
        self.lines.flush().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> LaunchError {
        LaunchError::Out { path: self.path.clone(), source }
    }
}
