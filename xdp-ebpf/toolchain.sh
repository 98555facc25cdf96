# shellcheck shell=bash
# Sourced by build.sh and check.sh: the recorded toolchain, installed where it is missing.
#
# rustc-web, cargo-web and rust-web-src are Debian's current Rust, compiler and library sources always of one version:
# the program is built with its own `core` (-Zbuild-std). The LLVM that comes with them does the linking, by
# bpf-linker, compiled once into .cache/ebpf. llvm-14 has llvm-strip, which takes the DWARF out of the object.
#
# Where Debian's cannot be had, a rustup toolchain with rust-src builds the same program, with other octets.

readonly LINKER_VERSION=0.13.0
readonly TRIO='rustc-web cargo-web rust-web-src'
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$root/.cache/ebpf
object=$root/xdp-ebpf/gannet.bpf.o
record=$root/xdp-ebpf/gannet.bpf.toolchain
readonly root cache object record

say() { printf 'ebpf: %s\n' "$*" >&2; }
die() { printf 'ebpf: error: %s\n' "$*" >&2; exit 1; }

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }

# need_packages WHY PACKAGE...
need_packages() {
  local why=$1 missing=() package
  shift
  for package in "$@"; do installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} -eq 0 ] && return 0
  [ "$(id -u)" -eq 0 ] || die "these packages are missing: ${missing[*]} ($why). Run this as root, or install them yourself."
  say "installing ${missing[*]}: $why"
  apt-get update -q >/dev/null || die "apt-get update failed: is the package mirror reachable?"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null ||
    die "apt-get could not install: ${missing[*]}"
}

# need_linker NAME LIBLLVM CARGO...: bpf-linker, compiled by this cargo against this LLVM, in .cache/ebpf/NAME.
# It looks for LLVM in a folder's lib/libLLVM.so; a link to the runtime library serves, no -dev package is needed.
need_linker() {
  local folder=$cache/$1 llvm=$2
  shift 2
  "$folder/bin/bpf-linker" --version 2>/dev/null | grep -q "$LINKER_VERSION" && return 0
  say "compiling bpf-linker $LINKER_VERSION into .cache/ebpf (once, about two minutes)"
  mkdir -p "$folder/llvm/lib"
  ln -sf "$llvm" "$folder/llvm/lib/libLLVM.so"
  ln -sf "$llvm" "$folder/llvm/lib/$(basename "$llvm")"
  (cd "$folder" && LLVM_PREFIX=$folder/llvm CARGO_TARGET_DIR=$folder/target \
    "$@" install --quiet bpf-linker --version "$LINKER_VERSION" --locked \
    --no-default-features --features llvm-22 --root "$folder") || die "bpf-linker could not be compiled"
  rm -rf "$folder/target"
}

# compile NAME OUT SYSROOT CARGO...: the object by this linker and this cargo, paths of this machine taken out, without
# DWARF. In order, which is bpf-linker's default, memory is cleared by a call, octet by octet: two thirds of what a packet cost.
compile() {
  local folder=$cache/$1 out=$2 sysroot=$3
  shift 3
  (cd "$root/xdp-ebpf" && PATH=$folder/bin:$PATH RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$folder/target \
    RUSTFLAGS="-C debuginfo=2 -C link-arg=--btf -C link-arg=--disable-expand-memcpy-in-order -C target-cpu=v3 --remap-path-prefix=$root=/gannet --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=$sysroot/lib/rustlib/src=/rust" \
    "$@" build --quiet --release --locked --target bpfel-unknown-none -Zbuild-std=core) || die "the program does not compile"
  install -m 0644 "$folder/target/bpfel-unknown-none/release/gannet" "$out"
  local strip
  strip=$(command -v /usr/lib/llvm-*/bin/llvm-strip | head -n 1)
  [ -n "$strip" ] || die "llvm-strip is missing: install llvm-14"
  "$strip" -g "$out"
}

# The recorded toolchain: Debian's, whatever else is on PATH.
need_debian() {
  # shellcheck disable=SC2086
  need_packages 'compiler, its library sources and strip, for eBPF' $TRIO llvm-14 gcc libc6-dev
  local llvm
  llvm=$(find /usr/lib -maxdepth 2 -name libLLVM.so.22.1 | head -n 1)
  [ -n "$llvm" ] || die "libLLVM.so.22.1 is missing: rustc-web 1.96 brings it as libllvm22"
  need_linker debian "$llvm" env PATH=/usr/bin:/bin /usr/bin/cargo
}

compile_debian() { compile debian "$1" /usr env "PATH=$cache/debian/bin:/usr/bin:/bin" /usr/bin/cargo; }

need_rustup() {
  local sysroot llvm
  command -v rustup >/dev/null || die "no rustup either"
  sysroot=$(cd "$root" && rustc --print sysroot)
  [ -d "$sysroot/lib/rustlib/src/rust/library" ] || (cd "$root" && rustup component add rust-src) ||
    die "this toolchain has no rust-src: rustup component add rust-src"
  llvm=$(find "$sysroot/lib" -name 'libLLVM.so.22.1-rust-*' | head -n 1)
  [ -n "$llvm" ] || die "this toolchain's LLVM is not 22.1: bpf-linker $LINKER_VERSION is built for that"
  need_linker rustup "$llvm" cargo
}

compile_rustup() { compile rustup "$1" "$(cd "$root" && rustc --print sysroot)" cargo; }

# What decides the object's octets, one tool a line.
toolchain() {
  local package
  for package in $TRIO libllvm22 llvm-14; do
    printf '%s %s\n' "$package" "$(dpkg-query -W -f='${Version}' "$package" 2>/dev/null || echo missing)"
  done
  printf 'bpf-linker %s\n' "$LINKER_VERSION"
}

checksum() { sha256sum "$1" | cut -d' ' -f1; }
