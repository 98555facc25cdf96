#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on panics"))]
//! Traffic that is known exactly, and what the tests that cross processes stand on.
//!
//! ```text
//!  craft ──► traffic ──► replay ──► device ──► (probe) ──► flows, ledger
//!  packets   models,     live frames or         compared by perf/tests with
//!            a capture   a packet socket        the truth of traffic::Source
//! ```
//!
//! Nothing here imports the probe: what it says is compared with what was sent, through files and counters.

/// Bare receivers: what the kernel alone can do, for a ratio to stand on.
pub mod baseline;
/// A place for what the kernel keeps over a kill.
pub mod bpffs;
/// Headless Chromium, for the test that reads the collector's page.
pub mod browser;
/// Packets and capture files built by hand, broken ones too.
pub mod craft;
/// Flows as JSON lines, summed per conversation, whoever wrote them.
pub mod flows;
/// One HTTP request, and its answer.
pub mod http;
/// Every system call that Rust's library does not wrap: the only unsafe code of the crate.
pub mod kernel;
/// Network namespaces with veth pairs and hubs, gone when dropped.
pub mod netns;
/// Our own programs as child processes, ended when dropped.
pub mod process;
/// Traffic onto a device, at a rate, knowing what arrived.
pub mod replay;
/// The frames to send: of equal flows, of a mix as a link carries it, or of a capture file.
pub mod traffic;
/// What became of it: the generator's truth held against probe and collector.
pub mod verify;
/// Waiting for a condition, with a bound and a name.
pub mod wait;
