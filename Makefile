# The few commands a developer types; each is a line or two of cargo.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help deps demo small-sets test test-interop test-differential lint bench bench-download bench-loader bench-model bench-train soak fuzz

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-18s %s\n", $$1, $$2 }'

deps: ## install cmake and nasm (to build the JPEG decoder) where they are missing
	@missing=""; for tool in cmake nasm; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	[ -z "$$missing" ] && exit 0; \
	as=""; [ "$$(id -u)" = 0 ] || as="sudo"; \
	if command -v apt-get >/dev/null && { [ -z "$$as" ] || command -v sudo >/dev/null; }; then \
		$$as apt-get update -q && $$as apt-get install -q -y --no-install-recommends $$missing; \
	else \
		echo "missing:$$missing - install them with your package manager, such as: brew install$$missing" >&2; exit 1; \
	fi

demo: deps ## download, train and evaluate a small CLIP; writes target/demo/report.html
	cargo run --bin cliptrain -- demo --output target/demo

small-sets: deps ## subsets of MNIST and CIFAR-10 (SMALL_SETS names their folder): shards, training, zero-shot accuracy
	cargo build --bin cliptrain
	tests/small-sets/run.sh mnist && tests/small-sets/run.sh cifar10

test: deps ## all tests, examples in the documentation included
	@if cargo nextest --version >/dev/null 2>&1; \
	then cargo nextest run --workspace && cargo test --workspace --doc --quiet; \
	else cargo test --workspace; fi

test-interop: deps ## shards and models against the Python peers, in target/venv (5 GB; INTEROP=--without-torch: less)
	tests/interop/run.sh $(INTEROP)

test-differential: deps ## row by row against img2dataset 1.47.0, which goes to target/peers (some 700 MB)
	tests/interop/differential.sh

lint: deps ## formatting and clippy; any warning fails
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings

bench: deps ## how fast the parts are; PEERS=1 measures the Python peers in the same run
	tests/bench/run.sh

bench-download: deps ## clipdata download beside img2dataset 1.47.0, from nginx on the loopback address
	tests/bench/download.sh

bench-loader: deps ## clipdata bench beside open_clip's loader, which goes to target/peers (some 6 GB with torch)
	tests/bench/loader.sh

bench-model: deps ## forward and backward of full-size models beside torch + open_clip, which go to target/peers
	tests/bench/model.sh

bench-train: deps ## whole training runs beside open_clip_train, which goes to target/peers with torch
	tests/bench/train.sh

soak: deps ## the long test of memory, restarts and speed; SOAK=--quick for the short one
	tests/soak/run.sh $(SOAK)

fuzz: deps ## the parsers of foreign bytes, a minute each; needs a C++ compiler
	tests/fuzz/run.sh
