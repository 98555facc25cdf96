//! What the flows of a capture must be, found without any code of the probe.
//!
//! ```text
//!  capture ─► shark.rs: tshark's fields, a row per packet ─► judge.rs: its key, or why it is in no flow
//!                                                              └─► model.rs: records, by the rules of the guide
//!
//!  offline.rs: the probe's flows and ledger ─► agree.rs ◄─ conversations.rs (tshark -z conv), nfdump.rs (nfpcapd)
//! ```
//!
//! The rules are written here a second time, from the documents, in the plainest form: maps, no bounds, whole file in
//! memory. Where this and the probe differ, one of them is wrong.

pub(crate) mod agree;
pub(crate) mod conversations;
pub(crate) mod judge;
pub(crate) mod model;
pub(crate) mod nfdump;
pub(crate) mod offline;
pub(crate) mod shark;
