#!/usr/bin/env bash
# Builds the XDP program with the recorded toolchain and writes xdp-ebpf/gannet.bpf.o, which is committed and embedded
# in the probe, with gannet.bpf.toolchain beside it: what it was built with and its checksum.
#
#   xdp-ebpf/build.sh
set -euo pipefail
. "$(dirname "$0")/toolchain.sh"

need_toolchain
object=$root/xdp-ebpf/gannet.bpf.o
compile "$object"
{
  toolchain
  printf 'sha256 %s\n' "$(sha256sum "$object" | cut -d' ' -f1)"
} >"$root/xdp-ebpf/gannet.bpf.toolchain"
say "$(wc -c <"$object") octets in xdp-ebpf/gannet.bpf.o"
