#!/usr/bin/env bash
# Builds the XDP program with the recorded toolchain and writes xdp-ebpf/gannet.bpf.o, which is committed and embedded
# in the probe, and gannet.bpf.toolchain beside it: what it was built with, and its checksum.
#
#   xdp-ebpf/build.sh
# shellcheck disable=SC1091,SC2154  # toolchain.sh is sourced
set -euo pipefail
. "$(dirname "$0")/toolchain.sh"

need_debian
compile_debian "$object"
{ toolchain; echo "sha256 $(checksum "$object")"; } >"$record"
say "$(wc -c <"$object") octets in xdp-ebpf/gannet.bpf.o"
