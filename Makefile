# make demo    bring up the guestbook          make test       everything the tests need, then the tests
# make down    take it away, with its data     make test-pure  the tests that need no root, in seconds
# make check   style, types, layers            make bench      how fast, beside docker where it runs
# make fuzz    the reader of stack files against 200 000 texts nobody would write, in minutes
SHELL := /bin/sh
RUNTIME := crun runc conmon nftables dnsmasq-base golang-github-containers-common python3-venv
TESTS := $(RUNTIME) busybox-static skopeo docker-registry iproute2 strace mmdebstrap
PYTHON := .venv/bin/python
SUDO := $(shell [ "$$(id -u)" -eq 0 ] || echo sudo)

# Examples for each of the eleven tests of `make fuzz`.
FUZZ := 20000

.PHONY: demo down bench fuzz sweep test test-pure check install install-dev

demo: install
	@packaging/install-deps mmdebstrap
	@$(SUDO) packaging/demo/up

down:
	@$(SUDO) packaging/demo/down

install:
	@packaging/install-deps $(RUNTIME)
	@packaging/venv

install-dev:
	@packaging/install-deps $(TESTS)
	@packaging/venv '[dev]'

check: install-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check -q .
	.venv/bin/mypy
	.venv/bin/lint-imports

test: check
	$(SUDO) $(PYTHON) -m pytest -q

bench: install-dev
	$(SUDO) $(PYTHON) -m benchmarks

fuzz:
	@packaging/venv '[dev]'
	PYORCH_FUZZ=$(FUZZ) $(PYTHON) -m pytest -q tests/orchestrator/spec/test_fuzz.py

sweep: install-dev
	$(SUDO) env PYORCH_SWEEP_POINTS=100000 $(PYTHON) -m pytest -q tests/sweep

test-pure:
	@packaging/venv '[dev]'
	$(PYTHON) -m pytest -q -m "not root"
