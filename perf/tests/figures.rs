//! `perf/run`: what it makes of figures, without measuring any.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

/// Judges one round of a figure that `perf/budgets` knows (`shard_nanoseconds`: goal <= 60, budget above it); its entry.
fn judge(nanoseconds: f64, counts: &str) -> (Output, String) {
    judge_as("shard_nanoseconds", nanoseconds, counts)
}

fn judge_as(name: &str, nanoseconds: f64, counts: &str) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    let [measured, journal] = ["measured", "journal"].map(|name| folder.path().join(name));
    let floor = json!({"what": "a floor", "unit": "ns", "rounds": [41.5]});
    let figure = json!({"name": name, "what": "a figure", "unit": "ns", "rounds": [nanoseconds],
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

/// Where the scenarios have a goal of the plan's: at it, and far beyond what is held.
#[test]
fn figures_of_the_plan_are_judged_by_their_names() {
    for (name, goal, beyond) in [
        ("live_more_nanoseconds", 100.0, 1000.0),
        ("shunt_saves", 1.5, 0.5),
        ("shunt_idle_rate", 0.95, 0.5),
        ("queues_two_to_one", 1.8, 1.0),
        ("pause_idle_longest", 100.0, 1e4),
        ("pause_active_longest", 100.0, 1e4),
        ("pause_kept_longest", 100.0, 1e4),
        ("exporter_to_bare", 0.9, 0.1),
    ] {
        let (output, entry) = judge_as(name, goal, "yes");
        assert!(output.status.success() && entry.contains("**GO**"), "{name}: {entry}");
        let (output, entry) = judge_as(name, beyond, "yes");
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(entry.contains("**NO-GO**") && entry.contains("**exceeded**"), "{name}: {entry}");
    }
}
