//! Which crate may depend on which.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each crate may depend on, of the others. Whoever changes this changes the architecture.
const ARROWS: [(&str, &[&str]); 9] = [
    ("linkup-protocol", &[]),
    ("linkup-service", &[]),
    ("linkup-bus", &["linkup-protocol", "linkup-service"]),
    ("linkup-store", &["linkup-protocol", "linkup-service"]),
    ("linkup-api", &["linkup-protocol", "linkup-service", "linkup-store"]),
    ("linkup-streamer", &["linkup-bus", "linkup-protocol", "linkup-service", "linkup-store"]),
    ("linkup-gateway", &["linkup-bus", "linkup-protocol", "linkup-service"]),
    ("linkup-loadtest", &["linkup-protocol"]),
    (
        "linkup",
        &[
            "linkup-api",
            "linkup-bus",
            "linkup-gateway",
            "linkup-loadtest",
            "linkup-protocol",
            "linkup-service",
            "linkup-store",
            "linkup-streamer",
        ],
    ),
];

/// What a crate must never reach, not even through others.
const UNREACHABLE: [(&str, &[&str]); 3] = [
    ("linkup-protocol", &["tokio", "hyper", "mongodb", "bson"]),
    ("linkup-gateway", &["mongodb", "bson"]),
    ("linkup-loadtest", &["mongodb", "bson"]),
];

/// The dependencies of every package, by name; those of tests and build scripts left out.
struct Graph {
    workspace: BTreeSet<String>,
    dependencies: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// As Cargo resolves it for this machine; what that takes is there since the tests were built.
    fn load() -> Self {
        let version = cargo(&["-vV"]);
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let flags = ["--format-version", "1", "--locked", "--filter-platform", host];
        let metadata: Value = serde_json::from_str(&cargo(&[&["metadata"], &flags[..]].concat())).unwrap();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let names: BTreeMap<String, String> =
            list(&metadata["packages"]).iter().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
        let is_normal =
            |dependency: &Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        let mut dependencies = BTreeMap::<String, BTreeSet<String>>::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let normal = list(&node["deps"]).into_iter().filter(is_normal);
            // Two versions of one package count as one: what either reaches is reached.
            let of_name = dependencies.entry(names[&text(&node["id"])].clone()).or_default();
            of_name.extend(normal.map(|dependency| names[&text(&dependency["pkg"])].clone()));
        }
        let members = list(&metadata["workspace_members"]);
        Self { workspace: members.iter().map(|id| names[&text(id)].clone()).collect(), dependencies }
    }

    /// Everything that `package` depends on, through others too.
    fn reach(&self, package: &str) -> BTreeSet<&str> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![&self.dependencies[package]]);
        while let Some(next) = open.pop() {
            for name in next {
                if reached.insert(name.as_str()) {
                    open.push(&self.dependencies[name]);
                }
            }
        }
        reached
    }
}

fn cargo(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    let output = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn crates_depend_on_each_other_only_as_the_architecture_allows() {
    let graph = Graph::load();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let known: BTreeSet<&str> = allowed.keys().copied().collect();
    assert_eq!(graph.workspace.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
    for (package, allowed) in allowed {
        for dependency in &graph.dependencies[package] {
            let fits = !graph.workspace.contains(dependency) || allowed.contains(&dependency.as_str());
            assert!(fits, "{package} must not depend on {dependency}");
        }
        assert!(!graph.reach(package).contains(package), "{package} depends on itself through others");
    }
}

#[test]
fn the_edge_and_the_vocabulary_stay_free_of_what_they_must_not_know() {
    let graph = Graph::load();
    for (package, unreachable) in UNREACHABLE {
        let reached = graph.reach(package);
        for name in unreachable {
            assert!(!reached.contains(name), "{package} reaches {name}");
        }
    }
}
