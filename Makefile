# The one front door: everything the project can do has a target here, and CI calls nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

CARGO ?= cargo
SETUP := deploy/setup/setup
STEP := deploy/ci/step
# Where captures for `test-captures` lie; the tests also build every case themselves.
CAPTURES ?=

##@ Use
.PHONY: demo
demo: ## The main job on real traffic, no server needed (root): DEMO_SECONDS=60 DEMO_CAPTURE=FILE BUS=zmq|kafka
	@$(call need_root,make demo,network namespaces and AF_XDP sockets)
	deploy/demo/demo check
	$(SETUP) build demo $(if $(filter kafka,$(BUS)),kafka)
	$(CARGO) build --workspace --bins
	exec deploy/demo/demo

.PHONY: release
release: ## The two programs, optimised, in target/release
	$(SETUP) build
	$(CARGO) build --release --workspace --bins

##@ Set-up
.PHONY: setup
setup: ## Install what a bare Debian 12 machine lacks to build, demo and test
	$(SETUP) build demo test kafka browser

.PHONY: kafka-start kafka-stop
kafka-start: ## A real Apache Kafka broker on loopback for development, in .cache/kafka-dev
	$(SETUP) kafka
	deploy/kafka/broker start .cache/kafka-dev
kafka-stop: ## Stop it
	deploy/kafka/broker stop .cache/kafka-dev

##@ Build and check
.PHONY: build
build: ## All programs and tests, dev profile, and the fault-injection variant of the programs
	$(SETUP) build
	$(CARGO) build --workspace --bins --features probe/fault-injection,collector/fault-injection
	install -D -t target/fault-injection target/debug/gannet-probe target/debug/gannet-collector
	$(CARGO) build --workspace --all-targets

.PHONY: check
check: ## Format, lints, shell scripts, systemd units
	$(SETUP) build test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	git ls-files | while read -r file; do head -qn1 "$$file" | tr -d '\0' | grep -qE '^#!.*sh$$' || continue; echo "$$file"; done | xargs shellcheck
	deploy/systemd/verify

.PHONY: deny
deny: ## Licences, advisories and sources of the dependencies (needs cargo-deny)
	cargo deny check

.PHONY: ebpf
ebpf: ## Rebuild the committed XDP object with the recorded toolchain
	xdp-ebpf/build.sh

.PHONY: ebpf-check
ebpf-check: ## BYTE-IDENTICAL or FIXTURES-ONLY; the verifier takes it (root)
	@$(call need_root,make ebpf-check,loading XDP programs)
	$(SETUP) build test
	xdp-ebpf/check.sh

##@ Test
.PHONY: test
test: ## Everything below (root): sets itself up, prints seconds per step against deploy/ci/budget
	@$(call need_root,make test,network namespaces$(comma) XDP programs and AF_XDP sockets)
	$(STEP) reset
	$(STEP) run set-up      $(SETUP) build demo test kafka browser
	$(STEP) run build       $(MAKE) --no-print-directory build
	$(STEP) run unit        $(MAKE) --no-print-directory test-unit
	$(STEP) run live        $(MAKE) --no-print-directory test-live
	$(STEP) run kafka-store $(MAKE) --no-print-directory test-kafka
	$(STEP) run browser     $(MAKE) --no-print-directory test-browser
	$(STEP) run ebpf        $(MAKE) --no-print-directory ebpf-check
	$(STEP) run loom-miri   $(MAKE) --no-print-directory test-loom test-miri
	$(STEP) report

.PHONY: test-unit
test-unit: build ## Unit, model and property tests of every crate
	deploy/ci/tests unit

.PHONY: test-live
test-live: build ## AF_XDP and packet sockets on veth pairs in network namespaces (root)
	@$(call need_root,make test-live,network namespaces and AF_XDP sockets)
	deploy/ci/tests live

.PHONY: test-kafka
test-kafka: build ## From batch to stored row: real Kafka brokers, ZMQ, DuckDB (root; KAFKA_BOOTSTRAP=.. for the shared ones)
	@$(call need_root,make test-kafka,network namespaces and a small disk for a broker)
	deploy/ci/tests kafka

.PHONY: test-browser
test-browser: build ## The page in headless Chromium
	deploy/ci/tests browser

.PHONY: test-captures
test-captures: ## Every capture of CAPTURES=DIR against tshark and nfdump or softflowd
	@[ -n "$(CAPTURES)" ] || { echo "test-captures: name the folder: make test-captures CAPTURES=DIR" >&2; exit 2; }
	$(SETUP) build test
	CAPTURES="$(abspath $(CAPTURES))" $(CARGO) test --workspace --test captures --test offline_expressions -- --nocapture

.PHONY: chaos
N ?= 200
SEED ?= 1
chaos: build ## Kill, stop, pause and cut off everybody while known traffic flows, then judge (root): N=200 SEED=1 BUS=kafka|zmq
	@$(call need_root,make chaos,network namespaces$(comma) AF_XDP sockets and small disks)
	$(SETUP) test kafka
	target/debug/examples/chaos --bus $(or $(BUS),kafka) --events $(N) --seed $(SEED)

.PHONY: test-loom
test-loom: ## The interleavings of the cross-thread rings, with at most three preemptions
	RUSTFLAGS="--cfg loom" $(CARGO) test -p xsk --test loom --target-dir target/loom

.PHONY: test-miri
test-miri: ## Undefined behaviour in the rings, over plain memory (needs rustup's nightly with miri)
	deploy/ci/miri

##@ Measure
.PHONY: measured
measured: # The programs that measure, optimised
	$(SETUP) build measure
	$(CARGO) build --release --workspace --bins --examples

.PHONY: perf
PERF_ROUNDS ?= 5
perf: ## The figures of perf/scenarios beside their floors, against perf/budgets, into perf/journal (root): PERF_ROUNDS=1 for a quick try
	@$(call need_root,make perf,network namespaces$(comma) AF_XDP sockets and a broker)
	$(SETUP) build kafka measure
	$(MAKE) --no-print-directory measured
	perf/run --rounds $(PERF_ROUNDS)

.PHONY: perf-compare
perf-compare: ## The shard of two builds in turns, against perf/budgets: A=COMMIT B=COMMIT
	$(SETUP) build measure
	perf/compare $(or $(A),HEAD~1) $(or $(B),HEAD)

.PHONY: profile
profile: measured ## Where the shard's time goes, by the processor clock: report in target/profile
	mkdir -p target/profile
	perf record -q -e cpu-clock -F 2000 -o target/profile/perf.data target/release/examples/gannet-baseline lookup --rounds 9 --flows 100000
	perf report -i target/profile/perf.data --no-children --stdio >target/profile/perf.txt 2>/dev/null
	head -n 40 target/profile/perf.txt

.PHONY: callgrind
callgrind: measured ## The shard's instructions, line by line: report in target/profile
	mkdir -p target/profile
	valgrind --tool=callgrind --callgrind-out-file=target/profile/callgrind.out target/release/examples/gannet-baseline lookup --rounds 3 --flows 20000
	callgrind_annotate --auto=yes target/profile/callgrind.out >target/profile/callgrind.txt
	head -n 60 target/profile/callgrind.txt

##@ Help
.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+( [a-z-]+)*:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

comma := ,
need_root = [ "$$(id -u)" -eq 0 ] || { echo "$(1) needs root ($(2)): run it with sudo, or as root in a VM" >&2; exit 2; }
