//! Where everything is: a wire to capture from, a network of bus and collector, a disk for each party.
//!
//! ```text
//!   [ sender ] out ──veth── in [ probe  ] 10.9.0.1 ─┐
//!                              [ broker ] 10.9.0.2 ─┼─ hub: a port down is a partition
//!                           [ collector ] 10.9.0.3 ─┘
//! ```

use std::path::PathBuf;
use std::process::Command;

use perf::bpffs::BpfFs;
use perf::netns::{End, Hub, Netns, Wire};

use super::disk::Disk;
use super::schedule::Whom;

/// Of the network between the parties. The namespaces have no way out.
pub(crate) const PROBE: &str = "10.9.0.1";
pub(crate) const BROKER: &str = "10.9.0.2";
const COLLECTOR: &str = "10.9.0.3";

/// The generator's end of the wire.
pub(crate) const TAP: &str = "out";

/// Room of each party's disk: far more than a run needs, little enough to be filled in a moment.
const DISK_MEGABYTES: u32 = 512;

/// Of the memory that the probe's flow cache lies in, which is never full.
const MEMORY_MEGABYTES: u32 = 256;

pub(crate) struct Site {
    pub(crate) sender: Netns,
    pub(crate) probe: Netns,
    pub(crate) broker: Netns,
    pub(crate) collector: Netns,
    hub: Hub,
    disks: [Disk; 3],
    /// What the probe's flow cache lies in: no disk of its spool.
    pub(crate) memory: Disk,
    /// What its XDP program outlives it in.
    pub(crate) pins: BpfFs,
    /// Last: the disks lie in it.
    folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let [sender, probe, broker, collector] =
            ["cs", "cp", "cb", "cc"].map(|label| Netns::new(label).unwrap());
        Wire::default().lay(End::new(&sender, TAP), End::new(&probe, "in")).unwrap();
        let hub = Hub::new("ch").unwrap();
        for (whom, namespace, address) in [
            (Whom::Probe, &probe, PROBE),
            (Whom::Broker, &broker, BROKER),
            (Whom::Collector, &collector, COLLECTOR),
        ] {
            hub.plug(namespace, "bus", port(whom), Wire::default()).unwrap();
            namespace.address("bus", &format!("{address}/24")).unwrap();
        }
        let folder = tempfile::Builder::new().prefix("gannet-chaos-").tempdir().unwrap();
        open_to_all(&folder);
        let disk = |whom| Disk::mount(folder.path().join(port(whom)), DISK_MEGABYTES);
        let disks = [Whom::Probe, Whom::Broker, Whom::Collector].map(disk);
        let memory = Disk::mount(folder.path().join("memory"), MEMORY_MEGABYTES);
        let pins = BpfFs::mount(folder.path().join("bpf"));
        Self { sender, probe, broker, collector, hub, disks, memory, pins, folder }
    }

    pub(crate) fn disk(&self, whom: Whom) -> &Disk {
        &self.disks[whom as usize]
    }

    pub(crate) fn disk_mut(&mut self, whom: Whom) -> &mut Disk {
        &mut self.disks[whom as usize]
    }

    /// Takes a party's link down or up.
    pub(crate) fn link(&self, whom: Whom, state: &str) {
        self.hub.namespace().ip(&["link", "set", port(whom), state]).unwrap();
    }

    /// A file of the harness itself, on none of those disks.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Leaves the folder where it is, with copies of what lies on the small disks.
    pub(crate) fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        for disk in &self.disks {
            let copy = disk.path().with_extension("disk");
            drop(Command::new("cp").arg("--recursive").arg(disk.path()).arg(copy).status());
        }
        self.folder.path().to_owned()
    }
}

fn port(whom: Whom) -> &'static str {
    match whom {
        Whom::Probe => "probe",
        Whom::Broker => "broker",
        Whom::Collector => "collector",
    }
}

/// The probe gives up root.
fn open_to_all(folder: &tempfile::TempDir) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
}
