//! Lets the collector find DuckDB's library: where it is built (an absolute path), and where it is installed
//! (`bin/gannet-collector` beside `lib/gannet/libduckdb.so`).

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=DUCKDB_LIB_DIR");
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib/gannet");
    if let Some(directory) = std::env::var_os("DUCKDB_LIB_DIR") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", absolute(directory.as_ref()).display());
    }
}

/// Cargo runs this in the crate's folder; a relative path is meant from the workspace's.
fn absolute(directory: &Path) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(directory);
    std::path::absolute(directory).ok().filter(|path| path.exists()).unwrap_or(workspace)
}
