# livehost: every command does its own set-up.
#
#   make run    build everything, serve config.ron
#   make test   build everything, fetch the test clients, run every test
#   make help   all commands

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# A fresh rustup is found even in a shell that was opened before it came.
export PATH := $(PATH):$(HOME)/.cargo/bin

CONFIG ?= config.ron
MINUTES ?= 2
SCHEDULES ?= 20000
WASM := wasm32-wasip2
# Where cargo builds. What tests and config.ron refer to by path (plugins,
# clients) is always below ./target.
BUILD := $(or $(CARGO_TARGET_DIR),target)
GUESTS := $(BUILD)/$(WASM)/plugin
# The plugins that ship, by crate.
SHIPPED := allow-all http-auth jwt rules static-keys
# Crates that never build wasmtime: quick in the dev profile.
LIGHT := livehost-wire livehost-media livehost-rtmp livehost-settings livehost-telemetry livehost-policy livehost-hub livehost-net livehost-app \
	livehost-relay livehost-server-rtmp livehost-server-http livehost-ron livehost-counting livehost-bench livehost-sdk \
	plugin-common $(SHIPPED) keyed
# Those that do: in the release profile, which has wasmtime once.
HEAVY := livehost livehost-plugin livehost-author
# For unit tests of these: their own code as the dev profile has it, wasmtime as it
# was built. Optimised, they would take minutes longer to build than to run.
UNOPTIMISED = $(foreach crate,$(HEAVY),$(foreach setting,opt-level=0 debug-assertions=true,\
	--config profile.release.package.$(crate).$(setting)))
# Tests end to end wait for clients more than they compute.
THREADS ?= $(shell echo $$(( 2 * $$(nproc 2>/dev/null || echo 2) )))
RUST_VERSION := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

# Programs of the project's own commands, not of the system.
TOOLS := target/tools
# The runner must be of the library's version.
GUNGRAUN := $(shell sed -n 's/^gungraun = "=\(.*\)"/\1/p' host/crates/instructions/Cargo.toml)

PYTHON ?= python3
# Carries a static FFmpeg 9.
IMAGEIO_FFMPEG := imageio-ffmpeg==0.8.1
FFMPEG9 := target/clients/ffmpeg9
FETCHED := target/clients/.$(IMAGEIO_FFMPEG)
# Tries an API by its document.
SCHEMATHESIS := schemathesis==4.32.5
API_TESTER := target/venv/.$(SCHEMATHESIS)
# On Debian in the package prometheus.
PROMTOOL ?= promtool

say = @printf '\n== %s\n' '$(1)'
# What runs at once, under a scheduler of its own: the hub is built for it anew.
# With all of its neighbours, so that what they share is built for it as for them.
MODEL = $(call packages,$(LIGHT)) --features livehost-app/shuttle --test model
packages = $(addprefix -p ,$(1))

##@ Serve

.PHONY: run
run: host plugins ## Build everything, then serve CONFIG (config.ron)
	$(call say,host run $(CONFIG))
	@exec $(BUILD)/release/host run $(CONFIG)

.PHONY: host
host: toolchain ## Build the server: target/release/host, and its second name livehost
	$(call say,building the server; the first time takes some minutes)
	cargo build --release -p livehost --bin host
	@# The name that no other program has: `host` asks name servers elsewhere.
	@ln -sfn host $(BUILD)/release/livehost

.PHONY: plugins
plugins: toolchain ## Build the plugins that ship: target/plugins/*.wasm
	$(call say,building the plugins)
	cargo build --profile plugin --target $(WASM) $(call packages,$(SHIPPED))
	@mkdir -p target/plugins
	@$(foreach plugin,$(SHIPPED),{ $(call place,$(subst -,_,$(plugin)),target/plugins/$(plugin).wasm); } &&) true

.PHONY: plugins-all
plugins-all: plugins ## Build plugins/lang, too: one policy in Rust, C, Zig, Python, JavaScript
	$(call say,building plugins/lang; the first time fetches its tools)
	@$(MAKE) -j2 -C plugins/lang

##@ Verify

.PHONY: test
test: plugins-all test-guests clients ## Run every test
	$(call say,testing protocols$(,) SDK and plugins)
	cargo test $(call packages,$(LIGHT))
	$(call say,testing orders of locks$(,) atomics and tasks)
	cargo test $(MODEL)
	$(call say,testing the server)
	@# The packages together in each: what they share is built once.
	cargo test --release $(UNOPTIMISED) $(call packages,$(HEAVY)) --lib --test generations
	cargo test --release $(UNOPTIMISED) $(call packages,$(HEAVY)) --doc
	RUST_TEST_THREADS=$(THREADS) cargo test --release $(call packages,$(HEAVY)) --test e2e

.PHONY: model
model: toolchain ## Play the scenes of lanes and outlets in more SCHEDULES (20000): minutes
	LIVEHOST_SCHEDULES=$(SCHEDULES) cargo test --release $(MODEL) scenes

.PHONY: client-matrix
client-matrix: plugins clients ## Try every client, transport and codec: docs/client-matrix.md
	$(call say,trying every client; some minutes)
	cargo test --release -p livehost --test e2e -- --ignored --exact matrix::all_of_the_table --nocapture

.PHONY: check
check: toolchain ## Formatting, lints and documentation, warnings denied
	$(call say,cargo fmt)
	cargo fmt --all --check
	@# All in the dev profile: what is checked of a dependency is checked once.
	$(call say,clippy)
	cargo clippy $(call packages,$(LIGHT) $(HEAVY) livehost-instructions probe-guest compat-0-1-guest examples-guest) \
		--all-targets -- -D warnings
	cargo clippy $(MODEL) -- -D warnings
	$(call say,rustdoc)
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps $(call packages,$(LIGHT))
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --lib $(call packages,$(HEAVY))

.PHONY: test-api
test-api: host plugins $(API_TESTER) ## Try the API of a server by its document: schemathesis
	$(call say,trying the API)
	@$(PYTHON) host/tests/operators/check.py $(BUILD)/release/host api $(abspath target/venv/bin/schemathesis)

.PHONY: check-alerts
check-alerts: host plugins ## Check metrics, alert rules and their tests: promtool
	$(call say,alerts and metrics)
	@command -v $(PROMTOOL) >/dev/null || { \
		echo "error: promtool is missing (on Debian: apt install prometheus)" >&2; exit 1; }
	$(PROMTOOL) check rules contrib/prometheus/alerts.yml
	$(PROMTOOL) test rules contrib/prometheus/alerts_test.yml
	@$(PYTHON) host/tests/operators/check.py $(BUILD)/release/host metrics $(PROMTOOL)

.PHONY: docs
docs: toolchain ## Write anew what is made from the code: tables of docs, docs/openapi.json
	UPDATE_EXPECT=1 cargo test $(call packages,$(LIGHT)) --test documents
	UPDATE_EXPECT=1 cargo test --release $(UNOPTIMISED) $(call packages,$(HEAVY)) --lib documentation_lists_every_field

.PHONY: test-guests
test-guests: toolchain ## Build the plugins of tests: one that misbehaves, one of each old track
	cargo build --profile plugin --target $(WASM) -p probe-guest -p compat-0-1-guest -p examples-guest
	@mkdir -p target/plugins/test
	@$(call place,compat_0_1_guest,target/plugins/test/compat-0.1.wasm)
	@$(call place,probe_guest,target/plugins/test/probe.wasm)
	@$(call place,examples_guest,target/plugins/test/examples.wasm)

.PHONY: clients
clients: $(FETCHED) ## Fetch the clients that tests use: target/clients

##@ Fuzz

# Coverage for libFuzzer; no sanitizer, since there is no unsafe code to watch.
# All of it works with a stable compiler.
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares \
	-Cdebug-assertions -Coverflow-checks --cfg fuzzing
# One of host/fuzz/fuzz_targets.
TARGET ?= session
MINUTES ?= 1
FUZZER := host/fuzz/target/$(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')/release/$(TARGET)
KEPT := host/fuzz/corpus/$(TARGET)
# What large inputs find is not kept: the corpus is small.
FOUND := target/fuzz/$(if $(LARGE),large-found-)$(TARGET)
LARGE_SEEDS := target/fuzz/large-$(TARGET)

.PHONY: fuzz
fuzz: fuzz-build ## Fuzz TARGET (session) for MINUTES (1), with LARGE=1 from large inputs: what is new goes to target/fuzz
	@mkdir -p $(FOUND) $(KEPT)
	$(if $(LARGE),cargo run --quiet -p livehost-rtmp --example large_inputs -- $(TARGET) $(LARGE_SEEDS))
	$(FUZZER) $(FOUND) $(KEPT) -artifact_prefix=target/fuzz/$(TARGET)- \
		$(if $(LARGE),$(LARGE_SEEDS) -max_len=500000 -len_control=0,-max_len=1500) \
		-timeout=10 -rss_limit_mb=1024 \
		-max_total_time=$$(( $(MINUTES) * 60 )) -print_final_stats=1

.PHONY: fuzz-keep
fuzz-keep: fuzz-build ## Make TARGET's corpus the fewest inputs that cover as much, with those found
	@mkdir -p $(FOUND) $(KEPT)
	rm -rf target/fuzz/kept && mkdir target/fuzz/kept
	$(FUZZER) -set_cover_merge=1 -use_counters=0 target/fuzz/kept $(FOUND) $(KEPT)
	rm -rf $(KEPT) && mv target/fuzz/kept $(KEPT)

.PHONY: fuzz-build
fuzz-build: toolchain
	cd host/fuzz && CARGO_TARGET_DIR=target RUSTFLAGS='$(FUZZ_FLAGS)' \
		cargo build --release --target $$(rustc -vV | sed -n 's/^host: //p') --bin $(TARGET)

##@ Measure

.PHONY: bench
bench: bench-tool ## Compare livehost, nginx-rtmp and the floor: target/bench/report.md (BENCH=arguments)
	$(call say,comparing; about half an hour in all)
	$(BUILD)/release/livehost-bench compare $(BENCH)

.PHONY: bench-quick
bench-quick: bench-tool ## One short round of small loads: shows that all works
	$(BUILD)/release/livehost-bench compare --quick --out target/bench/quick $(BENCH)

.PHONY: soak
soak: bench-tool ## Clients that come, go and misbehave for MINUTES (2): target/soak/report.md
	$(BUILD)/release/livehost-bench soak --minutes $(MINUTES)

.PHONY: bench-micro
bench-micro: toolchain ## Time the chunk stream and AMF alone (criterion)
	cargo bench -p livehost-rtmp --bench chunk
	cargo bench -p livehost-wire --bench amf

.PHONY: bench-instructions
bench-instructions: toolchain ## Count their instructions (Valgrind), compared with the run before
	@command -v valgrind >/dev/null || { \
		echo "error: valgrind is missing (on Debian: apt install valgrind)" >&2; exit 1; }
	@$(TOOLS)/bin/gungraun-runner --version 2>/dev/null | grep -qF ' $(GUNGRAUN)' || { \
		printf '\n== installing gungraun-runner %s into $(TOOLS)\n' $(GUNGRAUN); \
		cargo install --quiet --locked gungraun-runner@$(GUNGRAUN) --root $(TOOLS); }
	GUNGRAUN_RUNNER=$(abspath $(TOOLS))/bin/gungraun-runner cargo bench -p livehost-instructions

.PHONY: bench-tool
bench-tool: host plugins ## Build the load generator: target/release/livehost-bench
	cargo build --release -p livehost-bench

.PHONY: bench-decisions
bench-decisions: plugins ## What a decision costs, by plugin: a table
	$(call say,measuring decisions; about 13 s a plugin)
	@cargo bench --profile release -p livehost --bench decisions -- \
		$(realpath target/plugins/allow-all.wasm target/plugins/static-keys.wasm $(wildcard target/plugins/lang/*.wasm))

##@ Other

.PHONY: clean
clean: ## Remove everything that was built or fetched
	cargo clean
	rm -rf target

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo

# Replaces $(2) by what cargo built as $(1), if it differs: by rename, so that
# a running host never reads half a file.
place = cmp -s $(GUESTS)/$(1).wasm $(2) || \
	{ cp $(GUESTS)/$(1).wasm $(2).new && mv $(2).new $(2) && echo "new: $(2)"; }
, := ,

.PHONY: toolchain
toolchain:
	@command -v cargo >/dev/null && command -v rustc >/dev/null || { \
		echo "error: Rust is missing. Install it with rustup: https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { \
		echo "error: a C compiler is missing (on Debian: apt install gcc libc6-dev)" >&2; exit 1; }
	@have=$$(rustc --version | cut -d' ' -f2 | cut -d- -f1); \
	printf '%s\n' $(RUST_VERSION) $$have | sort --check=quiet --version-sort || { \
		echo "error: Rust $(RUST_VERSION) or later is needed, this is $$have: run rustup update" >&2; exit 1; }
	@test -d "$$(rustc --print target-libdir --target $(WASM))" || { \
		command -v rustup >/dev/null || { \
			echo "error: Rust's $(WASM) target is missing, and rustup, which would install it" >&2; exit 1; }; \
		printf '\n== adding the Rust target %s\n' $(WASM); \
		rustup target add $(WASM); }

# One stable path to the FFmpeg of the Python package, whatever its own name.
# Without it the tests that need it say so; in CI it must be there.
$(FETCHED):
	$(call say,fetching FFmpeg 9 ($(IMAGEIO_FFMPEG)) into target/venv)
	@mkdir -p $(@D)
	@if $(PYTHON) -m venv target/venv && \
		target/venv/bin/pip install --quiet --disable-pip-version-check '$(IMAGEIO_FFMPEG)' && \
		exe=$$(target/venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())'); \
	then \
		ln -sfnr "$$exe" $(FFMPEG9); \
		$(FFMPEG9) -version | sed -n 1p; \
		touch $@; \
	else \
		echo "warning: no FFmpeg 9: it needs python3 with venv (on Debian: apt install python3-venv) and PyPI" >&2; \
		test -z "$${LIVEHOST_CI:-}$${CI:-}"; \
	fi

$(API_TESTER):
	$(call say,fetching $(SCHEMATHESIS) into target/venv)
	@$(PYTHON) -m venv target/venv
	@target/venv/bin/pip install --quiet --disable-pip-version-check '$(SCHEMATHESIS)'
	@touch $@
