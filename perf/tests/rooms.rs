//! Who may import whom: `cargo metadata` held against the rule of ARCHITECTURE.md.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The rule. A crate that is not here, or an import that is not in its line, fails.
const RULE: [(&str, &[&str]); 6] = [
    ("xdp-abi", &[]),
    ("xsk", &[]),
    ("flow-wire", &["xdp-abi"]),
    ("probe", &["xdp-abi", "xsk", "flow-wire"]),
    ("collector", &["flow-wire"]),
    ("perf", &["xsk", "flow-wire"]),
];

/// What tests and examples import besides. The baselines need the probe's loader and shard; `perf`'s other parts judge the probe, and
/// must not ask it ([`only_the_baselines_know_the_probe`]).
const RULE_OF_TESTS: [(&str, &[&str]); 1] = [("perf", &["probe"])];

fn metadata() -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Per crate of the workspace, its imports that are ours: those of its tests and examples, or all others.
fn imports(of_tests: bool) -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let imported = |package: &Value| -> BTreeSet<String> {
        package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| (dependency["kind"] == "dev") == of_tests)
            .map(name)
            .filter(|name| ours.contains(name))
            .collect()
    };
    packages.iter().map(|package| (name(package), imported(package))).collect()
}

#[test]
fn no_room_imports_what_the_rule_does_not_allow() {
    let rule: BTreeMap<&str, &[&str]> = RULE.into_iter().collect();
    let imports = imports(false);
    assert_eq!(imports.len(), rule.len(), "a crate came or went: {:?}", imports.keys());
    for (room, imported) in imports {
        let allowed = rule.get(&*room).unwrap_or_else(|| panic!("{room} has no line in the rule"));
        check(&room, &imported, allowed);
    }
}

#[test]
fn tests_import_what_their_crate_may_and_what_their_own_rule_allows() {
    let (rule, further): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (RULE.into_iter().collect(), RULE_OF_TESTS.into_iter().collect());
    for (room, imported) in imports(true) {
        let more = further.get(&*room).copied().unwrap_or_default();
        check(&room, &imported, &[rule[&*room], more].concat());
    }
}

fn check(room: &str, imported: &BTreeSet<String>, allowed: &[&str]) {
    for name in imported {
        assert!(allowed.contains(&&**name), "{room} imports {name}, the rule allows only {allowed:?}");
    }
}

/// Holds the probe's own selection against tcpdump, packet by packet: its witness is another program, and not what the probe says of itself.
const SELECTION: &str = "tests/offline_expressions.rs";

#[test]
fn only_the_baselines_and_the_oracle_of_expressions_know_the_probe() {
    let perf = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders =
        ["src", "tests", "chaos", "live-ratio", "default-rate"].map(|name| perf.join(name)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with(SELECTION)
            {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(
                    !text.lines().any(|line| line.trim_start().starts_with("use probe::")),
                    "{} asks the probe",
                    path.display()
                );
            }
        }
    }
}
