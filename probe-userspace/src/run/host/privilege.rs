//! Giving rights away once everything is open.
#![expect(unsafe_code, reason = "setresuid(2) and its kin have no safe form")]

use std::io;

/// Where users are looked up. Directory services are left out on purpose: a probe's user is a local one, and a
/// start-up must not wait for a network.
const PASSWD: &str = "/etc/passwd";

/// A user to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    uid: libc::uid_t,
    gid: libc::gid_t,
}

/// Why no user could be become.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not in the list.
    #[error(
        "--user {0}: no such user in {PASSWD}\n  mend: name one that is there, or `root` to keep all rights"
    )]
    NoSuchUser(String),
    /// The list cannot be read.
    #[error("cannot read {PASSWD}: {0}")]
    Passwd(io::Error),
    /// The kernel refused.
    #[error("cannot become the user {uid}: {error}")]
    Refused {
        /// The user.
        uid: u32,
        /// What the kernel said.
        error: io::Error,
    },
}

impl User {
    /// Looks a user up by name.
    pub fn find(name: &str) -> Result<Self, Error> {
        let passwd = std::fs::read_to_string(PASSWD).map_err(Error::Passwd)?;
        entry(&passwd, name).ok_or_else(|| Error::NoSuchUser(name.to_string()))
    }

    /// Numbers of the user and its group.
    pub fn ids(self) -> (u32, u32) {
        (self.uid, self.gid)
    }

    /// Becomes that user for good, in all threads (glibc sees to that), with its own group only. Linux takes all
    /// capabilities from a process whose user ids all become non-zero (capabilities(7)).
    ///
    /// Needs CAP_SETUID and CAP_SETGID.
    pub fn become_for_good(self) -> Result<(), Error> {
        let Self { uid, gid } = self;
        let refused = |()| Error::Refused { uid, error: io::Error::last_os_error() };
        let call = |result: libc::c_int| if result == 0 { Ok(()) } else { Err(()) };
        // SAFETY: the group list is one element that lives through the call; the others take no pointers.
        unsafe {
            call(libc::setgroups(1, &gid)).map_err(refused)?;
            call(libc::setresgid(gid, gid, gid)).map_err(refused)?;
            call(libc::setresuid(uid, uid, uid)).map_err(refused)?;
            call(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)).map_err(refused)
        }
    }
}

/// Whether this process is root, and has rights to give away.
pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Whether this kernel lets only the privileged read and write BPF maps that they hold open: before Linux 6.0
/// (kernel/bpf/syscall.c, "refine kernel.unprivileged_bpf_disabled behaviour"), where the administrator has forbidden
/// bpf(2) to others. A probe that gave its rights up could then neither read its counters nor empty its slots.
pub fn maps_need_rights() -> bool {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let forbidden = read("/proc/sys/kernel/unprivileged_bpf_disabled").trim() != "0";
    forbidden && major_version(&read("/proc/sys/kernel/osrelease")).is_some_and(|major| major < 6)
}

fn major_version(release: &str) -> Option<u32> {
    release.split('.').next()?.parse().ok()
}

fn entry(passwd: &str, name: &str) -> Option<User> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(User { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_a_kernel_is_read() {
        assert_eq!(major_version("6.18.0-test\n"), Some(6));
        assert_eq!(major_version("5.15.0-91-generic"), Some(5));
        assert_eq!(major_version(""), None);
    }

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nnobody2:x:7:8::/:\nnobody:x:65534:65533::/nonexistent:/bin/false\n";
        assert_eq!(entry(passwd, "nobody"), Some(User { uid: 65534, gid: 65533 }));
        assert_eq!(entry(passwd, "nob"), None);
        assert!(matches!(User::find("no-such-user-here"), Err(Error::NoSuchUser(_))));
    }
}
