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

/// Per crate of the workspace, its imports (of any kind: tests and build scripts too) that are ours.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let imported = |package: &Value| -> BTreeSet<String> {
        package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .map(name)
            .filter(|name| ours.contains(name))
            .collect()
    };
    packages.iter().map(|package| (name(package), imported(package))).collect()
}

#[test]
fn no_room_imports_what_the_rule_does_not_allow() {
    let rule: BTreeMap<&str, &[&str]> = RULE.into_iter().collect();
    let imports = imports();
    assert_eq!(imports.len(), rule.len(), "a crate came or went: {:?}", imports.keys());
    for (room, imported) in imports {
        let allowed = rule.get(&*room).unwrap_or_else(|| panic!("{room} has no line in the rule"));
        for name in imported {
            assert!(allowed.contains(&&*name), "{room} imports {name}, the rule allows only {allowed:?}");
        }
    }
}
