//! Reading the runs of a set, and refusing those that cannot be compared.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

/// What a run leaves in its folder for programs to read.
const REPORT: &str = "report.json";

/// The only format of it that is known.
const FORMAT: u64 = 1;

/// Why runs cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or a report could not be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A report is not JSON, or lacks a member.
    #[error("{}: not a report of a run: {source}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A report was written in a format that is not known here.
    #[error("{}: its format is {found}, only {FORMAT} can be read", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What it says, as JSON.
        found: String,
    },
    /// A run was ended early, so that its figures are not those of its parameters.
    #[error("{}: the run was interrupted", path.display())]
    Interrupted {
        /// Its report.
        path: PathBuf,
    },
    /// Two runs did not put the server under the same load.
    #[error("{}: {parameter} is {found}, but {expected} in {}: only runs with the same parameters can be compared",
        path.display(), other.display())]
    Mixed {
        /// The report that differs.
        path: PathBuf,
        /// In what, such as `users` or `rate.send`.
        parameter: String,
        /// What it is there.
        found: String,
        /// The report that it differs from.
        other: PathBuf,
        /// What it is there.
        expected: String,
    },
    /// A folder holds no run.
    #[error("{}: no run in it: no {REPORT} there, nor one or two folders below", path.display())]
    NoRuns {
        /// The folder.
        path: PathBuf,
    },
}

/// Runs of the same load against the same server.
#[derive(Clone, Debug)]
pub struct RunSet {
    /// What the set is called in what is printed.
    pub label: String,
    /// At least one.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its folder, below that of the set.
    pub name: String,
    /// Where its report was read from.
    pub path: PathBuf,
    pub(super) report: Report,
}

/// The members of `report.json` that are compared. Others are passed over.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    #[serde(default)]
    pub(super) program: Program,
    #[serde(default)]
    pub(super) host: Host,
    pub(super) started_at: String,
    pub(super) scenario: String,
    pub(super) target: Target,
    pub(super) parameters: Map<String, Value>,
    pub(super) interrupted: bool,
    pub(super) passed: bool,
    pub(super) verdict: String,
    pub(super) rates: Rates,
    pub(super) latencies: Vec<Latency>,
    pub(super) series: Series,
    pub(super) resources: Vec<Resource>,
    pub(super) memory_per_connection_bytes: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Program {
    pub(super) version: Option<String>,
    pub(super) commit: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Host {
    pub(super) system: Option<String>,
    pub(super) cpu: Option<String>,
    pub(super) cores: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Target {
    pub(super) protocol: String,
    pub(super) flavor: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rates {
    pub(super) achieved: f64,
    pub(super) deliveries: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Latency {
    pub(super) name: String,
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Series {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Value>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resource {
    pub(super) name: String,
    pub(super) cores: Vec<Option<f64>>,
    pub(super) resident_bytes: Vec<Option<f64>>,
}

impl RunSet {
    /// Reads the run of `folder`, or else all runs in it: in its folders, and in the folders of those that hold no
    /// report themselves.
    ///
    /// Runs that failed their verdict are kept: they tell more than any latency.
    ///
    /// # Errors
    /// If there is none, or one cannot be read, was interrupted, or put another load on the server than the first.
    pub fn read(folder: &Path, label: impl Into<String>) -> Result<Self, Error> {
        let mut runs = Vec::new();
        for run in run_folders(folder)? {
            let below = run.strip_prefix(folder).unwrap_or(&run);
            let name = if below.as_os_str().is_empty() {
                run.file_name().unwrap_or(run.as_os_str())
            } else {
                below.as_os_str()
            };
            let name = name.to_string_lossy().into_owned();
            runs.push(Run::read(name, run.join(REPORT))?);
        }
        let first: &Run = runs.first().ok_or_else(|| Error::NoRuns { path: folder.to_owned() })?;
        runs[1..].iter().try_for_each(|run| run.refuse_unless_same(first, Run::load_and_flavor))?;
        Ok(Self { label: label.into(), runs })
    }

    /// # Errors
    /// If the runs of `other` put another load on their server. (Whose flavor may be another: that belongs to the
    /// server, and two servers are what is compared.)
    pub(super) fn refuse_other_load(&self, other: &Self) -> Result<(), Error> {
        match (self.runs.first(), other.runs.first()) {
            (Some(first), Some(of_other)) => of_other.refuse_unless_same(first, Run::load),
            _ => Ok(()),
        }
    }
}

/// The folders at or below `folder` that hold a report, in the order of their names.
fn run_folders(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if holds_report(folder)? {
        return Ok(vec![folder.to_owned()]);
    }
    let mut found = Vec::new();
    for child in folders_in(folder)? {
        if holds_report(&child)? {
            found.push(child);
            continue;
        }
        for grandchild in folders_in(&child)? {
            if holds_report(&grandchild)? {
                found.push(grandchild);
            }
        }
    }
    Ok(found)
}

fn holds_report(folder: &Path) -> Result<bool, Error> {
    let path = folder.join(REPORT);
    path.try_exists().map_err(|source| Error::Unreadable { path, source })
}

fn folders_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |source| Error::Unreadable { path: folder.to_owned(), source };
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort_unstable();
    Ok(folders)
}

/// All that is looked at before the rest is.
#[derive(Deserialize)]
struct Format {
    format: Option<Value>,
}

impl Run {
    fn read(name: String, path: PathBuf) -> Result<Self, Error> {
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(source) => return Err(Error::Unreadable { path, source }),
        };
        match serde_json::from_slice::<Format>(&text) {
            Ok(Format { format: Some(format) }) if format.as_u64() == Some(FORMAT) => {}
            Ok(Format { format }) => {
                let found = format.map_or_else(|| "not told".to_owned(), |format| format.to_string());
                return Err(Error::Format { path, found });
            }
            Err(source) => return Err(Error::Malformed { path, source }),
        }
        match serde_json::from_slice::<Report>(&text) {
            Ok(report) if report.interrupted => Err(Error::Interrupted { path }),
            Ok(report) => Ok(Self { name, path, report }),
            Err(source) => Err(Error::Malformed { path, source }),
        }
    }

    /// All that has to be equal for two runs to be comparable, by name.
    fn load(&self) -> BTreeMap<String, Value> {
        let mut load = BTreeMap::new();
        for (name, value) in &self.report.parameters {
            match value {
                // The same load, drawn otherwise.
                _ if name == "seed" => {}
                Value::Object(members) => {
                    load.extend(
                        members.iter().map(|(member, value)| (format!("{name}.{member}"), value.clone())),
                    );
                }
                _ => drop(load.insert(name.clone(), value.clone())),
            }
        }
        load.insert("scenario".to_owned(), self.report.scenario.clone().into());
        load.insert("protocol".to_owned(), self.report.target.protocol.clone().into());
        load
    }

    /// And what has to be equal besides for them to be of the same server.
    fn load_and_flavor(&self) -> BTreeMap<String, Value> {
        let mut all = self.load();
        all.insert("flavor".to_owned(), self.report.target.flavor.clone().into());
        all
    }

    fn refuse_unless_same(
        &self,
        other: &Self,
        of: fn(&Self) -> BTreeMap<String, Value>,
    ) -> Result<(), Error> {
        let (own, expected) = (of(self), of(other));
        let told = |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), Value::to_string);
        // The scenario first: of other scenarios everything else differs too.
        let names = std::iter::once("scenario").chain(own.keys().chain(expected.keys()).map(String::as_str));
        for name in names {
            let (found, expected) = (own.get(name), expected.get(name));
            if !same(found, expected) {
                return Err(Error::Mixed {
                    path: self.path.clone(),
                    parameter: name.to_owned(),
                    found: told(found),
                    other: other.path.clone(),
                    expected: told(expected),
                });
            }
        }
        Ok(())
    }
}

/// Whether two parameters are: 5 is 5.0, and one that is null is not set.
fn same(one: Option<&Value>, other: Option<&Value>) -> bool {
    let set = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
    match (one.and_then(Value::as_f64), other.and_then(Value::as_f64)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other || (!set(one) && !set(other)),
    }
}

#[cfg(test)]
mod tests;
