//! Lets the chaos harness, which reads the collector's store by itself, find DuckDB's library where it is built.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=DUCKDB_LIB_DIR");
    let Some(directory) = std::env::var_os("DUCKDB_LIB_DIR") else { return };
    // Cargo runs this in the crate's folder; a relative path is meant from the workspace's.
    let directory = Path::new(&directory);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(directory);
    let absolute = std::path::absolute(directory).ok().filter(|path| path.exists()).unwrap_or(workspace);
    for kind in ["tests", "examples"] {
        println!("cargo:rustc-link-arg-{kind}=-Wl,-rpath,{}", absolute.display());
    }
}
