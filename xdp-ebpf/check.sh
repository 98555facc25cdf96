#!/usr/bin/env bash
# Holds the committed XDP object against a fresh build of its source (root: it loads programs).
#
#   xdp-ebpf/check.sh
#
# BYTE-IDENTICAL  the recorded toolchain made the same octets.
# FIXTURES-ONLY   the recorded toolchain cannot be had; another build passes the same BPF_PROG_TEST_RUN fixtures. With
#                 the reason.
# And in either case: the verifier takes the committed object, and libbpf reads it. Exits 1 otherwise.
# shellcheck disable=SC1091,SC2154  # toolchain.sh is sourced
set -euo pipefail
. "$(dirname "$0")/toolchain.sh"
fresh=$cache/check.bpf.o
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fixtures() {
  (cd "$root" && cargo test --quiet --workspace --test ebpf_fixtures >"$scratch/fixtures" 2>&1) ||
    { cat "$scratch/fixtures" >&2; die "the fixtures do not pass with $1"; }
}

# The kernel takes it, by libbpf: another reader of the BTF maps than the probe's.
libbpf() {
  need_packages 'reads the object by libbpf' bpftool
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount sh -ec '
    mount -t bpf bpf "$1"
    bpftool prog load "$2" "$1/gannet"
    bpftool prog show pinned "$1/gannet"
    bpftool btf dump file "$2" >/dev/null
  ' sh "$scratch" "$object" >"$scratch.log" 2>&1 || { cat "$scratch.log" >&2; rm -f "$scratch.log"; die "libbpf or the verifier refuses the committed object"; }
  grep -o 'xlated [0-9]*B' "$scratch.log" | sed 's/^/verifier and libbpf: taken, /'
  rm -f "$scratch.log"
}

byte_identical() {
  compile_debian "$fresh"
  cmp -s "$object" "$fresh" ||
    die "the recorded toolchain makes other octets: the source has changed since; run make ebpf and commit the object"
  fixtures "the committed object"
  echo 'BYTE-IDENTICAL'
}

fixtures_only() {
  local reason=$1
  need_rustup
  compile_rustup "$fresh"
  fixtures "the committed object"
  GANNET_XDP_OBJECT=$fresh fixtures "a fresh build by $(cd "$root" && rustc --version)"
  echo "FIXTURES-ONLY: $reason"
}

[ "$(awk '$1 == "sha256" { print $2 }' "$record")" = "$(checksum "$object")" ] ||
  die "gannet.bpf.o is not the object that gannet.bpf.toolchain records: run make ebpf and commit both"
mkdir -p "$cache"
libbpf
if ! reason=$( (need_debian) 2>&1 >/dev/null); then
  fixtures_only "${reason##*ebpf: error: }"
elif ! difference=$(diff <(toolchain) <(grep -v '^sha256' "$record")); then
  fixtures_only "another toolchain than the recorded one: $(grep '^[<>]' <<<"$difference" | tr '\n' ' ')"
else
  byte_identical
fi
