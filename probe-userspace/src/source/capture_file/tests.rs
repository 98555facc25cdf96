//! Files built here, read back; `pcap-parser` and broken copies as oracles.
