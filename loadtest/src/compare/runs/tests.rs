use super::super::samples::{report, set};
use super::*;
use serde_json::json;

fn write(folder: &Path, text: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(REPORT), text).unwrap();
}

/// What reading a set of these two says; it has to refuse it.
fn refusal(first: &Value, second: &Value) -> (Error, String) {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("first"), &first.to_string());
    write(&folder.path().join("second"), &second.to_string());
    let error = RunSet::read(folder.path(), "set").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&folder.path().join("second").join(REPORT).display().to_string()), "{text}");
    (error, text)
}

fn names(set: &RunSet) -> Vec<&str> {
    set.runs.iter().map(|run| run.name.as_str()).collect()
}

#[test]
fn runs_are_found_in_a_folder_below_it_and_one_further_down() {
    let folder = tempfile::tempdir().unwrap();
    let text = report(&[]).to_string();
    write(&folder.path().join("b"), &text);
    write(&folder.path().join("a/2"), &text);
    write(&folder.path().join("a/1"), &text);
    // Below a run, and too deep.
    write(&folder.path().join("b/old"), &text);
    write(&folder.path().join("c/d/e"), &text);
    fs::write(folder.path().join("notes.txt"), "nothing").unwrap();
    let set = RunSet::read(folder.path(), "all").unwrap();
    assert_eq!((set.label.as_str(), names(&set)), ("all", vec!["a/1", "a/2", "b"]));
    assert_eq!(names(&RunSet::read(&folder.path().join("b"), "one").unwrap()), ["b"]);
}

#[test]
fn failed_runs_are_kept() {
    let failed = report(&[("/passed", json!(false)), ("/verdict", json!("failed: 3 lost"))]);
    assert_eq!(names(&set(&[report(&[]), failed])), ["run-01", "run-02"]);
}

#[test]
fn folders_without_runs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let error = RunSet::read(folder.path(), "set").unwrap_err();
    assert!(matches!(error, Error::NoRuns { .. }), "{error}");
    assert!(error.to_string().starts_with(&folder.path().display().to_string()), "{error}");
    let error = RunSet::read(&folder.path().join("missing"), "set").unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn reports_that_cannot_be_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("run").join(REPORT)).unwrap();
    let error = RunSet::read(folder.path(), "set").unwrap_err();
    assert!(matches!(&error, Error::Unreadable { path, .. } if path.ends_with("run/report.json")), "{error}");

    for text in ["", "{", r#"{"format":1}"#, "[]"] {
        write(&folder.path().join("other"), text);
        let error = RunSet::read(&folder.path().join("other"), "set").unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{text}: {error}");
        assert!(error.to_string().contains("other/report.json: not a report of a run: "), "{error}");
    }
}

#[test]
fn other_formats_are_refused_whatever_else_they_hold() {
    for (format, told) in
        [(json!(2), "its format is 2, only 1"), (json!("1"), r#"its format is "1", only 1"#)]
    {
        let (error, text) = refusal(&report(&[]), &json!({ "format": format }));
        assert!(matches!(error, Error::Format { .. }) && text.contains(told), "{text}");
    }
    let (_, text) = refusal(&report(&[]), &json!({}));
    assert!(text.contains("its format is not told"), "{text}");
}

#[test]
fn interrupted_runs_are_refused() {
    let (error, text) = refusal(&report(&[]), &report(&[("/interrupted", json!(true))]));
    assert!(
        matches!(error, Error::Interrupted { .. }) && text.ends_with("the run was interrupted"),
        "{text}"
    );
}

#[test]
fn other_loads_are_refused_by_the_name_of_what_differs() {
    for (pointer, value, told) in [
        ("/scenario", json!("room"), r#"scenario is "room", but "chat" in "#),
        ("/target/protocol", json!("ws"), r#"protocol is "ws", but "socketio" in "#),
        ("/target/flavor", json!("spec"), r#"flavor is "spec", but "linkup" in "#),
        ("/parameters/users", json!(2000), "users is 2000, but 1000 in "),
        ("/parameters/rate/send", json!(100.5), "rate.send is 100.5, but 2500.0 in "),
        ("/parameters/rate", json!({}), "rate.send is not set, but 2500.0 in "),
        ("/parameters/durationS", json!(null), "durationS is null, but 20.0 in "),
    ] {
        let (error, text) = refusal(&report(&[]), &report(&[(pointer, value)]));
        assert!(matches!(error, Error::Mixed { .. }) && text.contains(told), "{text}");
        assert!(text.contains("first/report.json: only"), "{text}");
    }
    let mut further = report(&[]);
    further["parameters"]["contacts"] = json!(5);
    assert!(refusal(&report(&[]), &further).1.contains("contacts is 5, but not set in "));
    assert!(refusal(&further, &report(&[])).1.contains("contacts is not set, but 5 in "));
}

#[test]
fn the_same_load_said_otherwise_is_the_same() {
    let mut other = report(&[("/parameters/seed", json!(7)), ("/parameters/rate/send", json!(2500))]);
    other["parameters"]["contacts"] = json!(null);
    other["target"]["url"] = json!("http://127.0.0.1:6000");
    assert_eq!(set(&[report(&[]), other]).runs.len(), 2);
}

#[test]
fn two_sets_need_the_same_load_but_not_the_same_flavor() {
    let a = set(&[report(&[])]);
    set(&[report(&[("/target/flavor", json!("spec"))])]).refuse_other_load(&a).unwrap();
    let error = a.refuse_other_load(&set(&[report(&[("/parameters/users", json!(10))])])).unwrap_err();
    assert!(error.to_string().contains("users is 10, but 1000 in "), "{error}");
}
