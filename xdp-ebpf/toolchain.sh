# Sourced by build.sh and check.sh: the recorded toolchain, installed where it is missing.
#
# rustc-web, cargo-web and rust-web-src are Debian's current Rust, its compiler and its library sources always of one
# version: the program is built with its own `core` (-Zbuild-std). The LLVM that comes with them does the linking, by
# bpf-linker, compiled once into .cache/ebpf. llvm-14 has llvm-strip, which takes the DWARF out of the object.

readonly LINKER_VERSION=0.13.0
readonly TRIO='rustc-web cargo-web rust-web-src'
root=$(cd "$(dirname "$0")/.." && pwd)
cache=$root/.cache/ebpf
readonly root cache

say() { printf 'ebpf: %s\n' "$*" >&2; }
die() { printf 'ebpf: error: %s\n' "$*" >&2; exit 1; }

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }

need_packages() {
  local missing=() package
  for package in $TRIO llvm-14 gcc libc6-dev; do installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} -eq 0 ] && return 0
  [ "$(id -u)" -eq 0 ] || die "these packages are missing: ${missing[*]} (compiler and linker for eBPF). Run this as root, or install them yourself."
  say "installing ${missing[*]}: compiler, its library sources, and linker for eBPF"
  apt-get update -q >/dev/null || die "apt-get update failed: is the package mirror reachable?"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null ||
    die "apt-get could not install: ${missing[*]}"
}

# bpf-linker finds LLVM by a prefix with lib/libLLVM.so; Debian's runtime package has no such name, and no -dev is needed.
need_linker() {
  local llvm
  llvm=$(ls /usr/lib/x86_64-linux-gnu/libLLVM.so.22.1 /usr/lib/*/libLLVM.so.22.1 2>/dev/null | head -n 1)
  [ -n "$llvm" ] || die "libLLVM.so.22.1 is missing: install libllvm22, which rustc-web 1.96 depends on"
  "$cache/bl/bin/bpf-linker" --version 2>/dev/null | grep -q "$LINKER_VERSION" && return 0
  say "compiling bpf-linker $LINKER_VERSION into .cache/ebpf (once, about two minutes)"
  mkdir -p "$cache/llvm/lib"
  ln -sf "$llvm" "$cache/llvm/lib/libLLVM.so"
  ln -sf "$llvm" "$cache/llvm/lib/libLLVM.so.22.1"
  (cd "$cache" && PATH=/usr/bin:/bin LLVM_PREFIX=$cache/llvm CARGO_TARGET_DIR=$cache/linker-target \
    cargo install --quiet bpf-linker --version "$LINKER_VERSION" --locked \
    --no-default-features --features llvm-22 --root "$cache/bl") || die "bpf-linker could not be compiled"
  rm -rf "$cache/linker-target"
}

need_toolchain() {
  need_packages
  need_linker
}

# What decides the object's octets, one tool a line.
toolchain() {
  local package
  for package in $TRIO libllvm22 llvm-14; do
    printf '%s %s\n' "$package" "$(dpkg-query -W -f='${Version}' "$package" 2>/dev/null || echo missing)"
  done
  printf 'bpf-linker %s\n' "$LINKER_VERSION"
}

# compile OUT: the object with paths of this machine taken out, without DWARF.
compile() {
  local cargo_home=${CARGO_HOME:-$HOME/.cargo}
  (cd "$root/xdp-ebpf" && PATH=$cache/bl/bin:/usr/bin:/bin RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$cache/target \
    RUSTFLAGS="-C debuginfo=2 -C link-arg=--btf -C target-cpu=v3 --remap-path-prefix=$root=/gannet --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=/usr/lib/rustlib/src=/rust" \
    cargo build --quiet --release --locked --target bpfel-unknown-none -Zbuild-std=core) || die "the program does not compile"
  install -m 0644 "$cache/target/bpfel-unknown-none/release/gannet" "$1"
  /usr/lib/llvm-14/bin/llvm-strip -g "$1"
}
