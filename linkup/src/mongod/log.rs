//! The last error in the log that `mongod` left.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::supervise;

/// How much of a log's end is read.
const TAIL: u64 = 256 * 1024;
/// An error's details may hold a whole stack trace.
const MAX_CHARS: usize = 500;

#[derive(Deserialize)]
struct Line {
    /// The severity: F(atal), E(rror), W(arning), I(nformation).
    s: String,
    msg: String,
    #[serde(default)]
    attr: Value,
}

/// The last error in `log`; where there is none, the last thing the program wrote outside of its log.
pub(super) fn last_error(log: &Path) -> String {
    let in_log = tail(log).ok().and_then(|text| text.lines().rev().find_map(error));
    let elsewhere = || {
        let text = tail(&log.with_file_name(supervise::OUTPUT)).ok()?;
        text.lines().rev().find(|line| !line.trim().is_empty()).map(shorten)
    };
    in_log.or_else(elsewhere).unwrap_or_else(|| "its log tells no error".to_owned())
}

fn error(line: &str) -> Option<String> {
    let line: Line = serde_json::from_str(line).ok()?;
    if !matches!(line.s.as_str(), "F" | "E") {
        return None;
    }
    let detail = match line.attr.get("error").unwrap_or(&line.attr) {
        Value::Null => String::new(),
        Value::String(text) => format!(": {text}"),
        other => format!(": {other}"),
    };
    Some(shorten(&format!("{}{detail}", line.msg)))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_last_error_is_found_with_its_details() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("mongod.log");
        let lines = [
            r#"{"s":"E","msg":"an older one"}"#,
            r#"{"s":"E","c":"CONTROL","msg":"terminating","attr":{"error":"DBPathInUse: locked"}}"#,
            r#"{"s":"I","msg":"shutting down","attr":{"exitCode":100}}"#,
        ];
        fs::write(&log, lines.join("\n")).unwrap();
        assert_eq!(last_error(&log), "terminating: DBPathInUse: locked");
    }

    #[test]
    fn without_a_log_the_loader_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("mongod.log");
        assert_eq!(last_error(&log), "its log tells no error");
        fs::write(folder.path().join(supervise::OUTPUT), "mongod: no libcurl.so.4\n\n").unwrap();
        assert_eq!(last_error(&log), "mongod: no libcurl.so.4");
    }
}
