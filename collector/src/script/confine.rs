//! What a script's process gives up before it reads a line of a script.

use std::io;

use rustix::process::{
    Gid, Resource, Rlimit, Signal, Uid, geteuid, getppid, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::process::HOST;

/// `nobody`, on all systems of note.
const NOBODY: u32 = 65_534;

/// Data beside a Lua state: the Kafka client's queues (64 MB at most), stacks of its threads (8 MB of addresses each), TLS.
const BESIDE_OCTETS: u64 = 512 << 20;

/// Sockets of producers and requests, and what libraries open for a moment.
const FILES: u64 = 256;

/// Called first, while there is one thread: what is said for it holds for all that come.
pub(super) fn now() -> io::Result<()> {
    // The host's thread lives as long as the collector; without it nobody would kill a script that hangs.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    set_no_new_privs(true)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, FILES)?;
    if geteuid().is_root() {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        // A change of the user takes it back.
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    // One that had died before that sends no signal; what it wrote lies in the socket still.
    let host = std::env::var(HOST).ok().and_then(|number| number.parse().ok());
    match getppid().map(|parent| parent.as_raw_nonzero().get()) {
        Some(parent) if Some(parent) == host => Ok(()),
        _ => Err(io::Error::other("its collector is gone")),
    }
}

/// Of private memory that can be written, which leaves out what programs and libraries are made of (RLIMIT_AS would have it).
pub(super) fn memory(lua_octets: usize) -> io::Result<()> {
    limit(Resource::Data, lua_octets as u64 + BESIDE_OCTETS)
}

fn limit(resource: Resource, bound: u64) -> io::Result<()> {
    setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound) })?;
    Ok(())
}
