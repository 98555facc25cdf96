//! `perf/run`: what it makes of figures, without measuring any.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

/// Judges one round of a figure that `perf/budgets` knows (`shard_nanoseconds`: goal <= 60, budget above it); its entry.
fn judge(nanoseconds: f64, counts: &str) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    let [measured, journal] = ["measured", "journal"].map(|name| folder.path().join(name));
    let floor = json!({"what": "a floor", "unit": "ns", "rounds": [41.5]});
    let figure = json!({"name": "shard_nanoseconds", "what": "a figure", "unit": "ns", "rounds": [nanoseconds],
                        "floor": floor, "counts": counts});
    let report = json!({"scenario": "lookup", "setting": "nowhere", "figures": [figure], "notes": []});
    std::fs::write(&measured, format!("{report}\n")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run =
        Command::new(root.join("run")).arg("--from").arg(measured).arg("--journal").arg(&journal).output();
    (run.unwrap(), std::fs::read_to_string(journal).unwrap_or_default())
}

#[test]
fn a_figure_outside_of_its_budget_fails_the_run_and_is_in_the_entry_all_the_same() {
    let (output, entry) = judge(1e6, "yes");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(entry.contains("| a figure | 1,000,000 ns | a floor: 41.5 ns | <= 60 | **NO-GO** |"), "{entry}");
    assert!(entry.contains("**exceeded**"), "{entry}");
}

#[test]
fn a_figure_that_keeps_to_its_goal_is_a_go() {
    let (output, entry) = judge(1.0, "yes");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(entry.contains("**GO**") && !entry.contains("exceeded"), "{entry}");
}

#[test]
fn a_figure_that_does_not_count_is_neither_and_says_why() {
    let (output, entry) = judge(1e6, "the generator is the bound");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(entry.contains("does not count: the generator is the bound"), "{entry}");
    assert!(!entry.contains("GO"), "{entry}");
}
