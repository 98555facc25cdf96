//! Messages as they came off a socket: see `golden/README.md`.

use std::path::Path;

/// The frames of each message.
pub(crate) fn read(name: &str) -> Vec<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = ["tests/golden", "../probe-userspace/wire/tests/golden"].map(|golden| folder.join(golden));
    let path = golden.iter().find(|golden| golden.is_dir()).unwrap().join(name);
    let octets = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut rest = octets.as_slice();
    let mut messages = Vec::new();
    while let Some((count, behind)) = rest.split_first() {
        rest = behind;
        messages.push((0..*count).map(|_| frame(&mut rest)).collect());
    }
    messages
}

fn frame(rest: &mut &[u8]) -> Vec<u8> {
    let (length, behind) = rest.split_at(4);
    let (frame, behind) = behind.split_at(u32::from_be_bytes(length.try_into().unwrap()) as usize);
    *rest = behind;
    frame.to_vec()
}
