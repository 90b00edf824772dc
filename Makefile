# make demo    bring up the guestbook          make test       everything the tests need, then the tests
# make down    take it away, with its data     make test-pure  the tests that need no root, in seconds
# make test-failed  what failed in the last run, once more and one at a time
# make check   style, types, layers            make bench      how fast; DOCKER=1: beside docker
# make test-vm the guestbook and the tests on a Debian 13 of its own: systemd, cgroup v2, reboots;
#              hours without KVM: SHARD=1/4 takes a part, VM_TESTS=tests/e2e/... a choice
# make test-docker the same fifty files under Docker and under pyorch: what the process sees
# make docs    what is generated of docs/: the reference of every key, the schema for editors
# make updates fifty updates of a service under load, good ones and bad ones, beside a daemon that dies
# make model   stacks are changed and broken in thousands of ways, and compared with a model
# make soak    thousands of passes and restarts, after which the daemon is as large as before
# make fuzz    the reader of stack files against 200 000 texts nobody would write, in minutes
SHELL := /bin/sh
# Files of tests that run beside one another; each has a pyorch of its own.
JOBS := 2
RUNTIME := crun runc conmon nftables dnsmasq-base golang-github-containers-common python3-venv tini
VM := mmdebstrap e2fsprogs qemu-system-x86 python3-venv gcc make libc6-dev flex bison bc patch xz-utils binutils
TESTS := $(RUNTIME) buildah busybox-static git skopeo docker-registry iproute2 strace libfaketime mmdebstrap openssl fish
TESTS += e2fsprogs iptables openssh-client systemd
PYTHON := .venv/bin/python
SUDO := $(shell [ "$$(id -u)" -eq 0 ] || echo sudo)

# Examples for each of the eleven tests of `make fuzz`.
FUZZ := 20000

# Things done in `make model`, and passes in `make soak`; a tenth as many containers are restarted.
STEPS := 5000
PASSES := 10000

# Which part of the tests `make test-vm` runs; what has run already is not run again.
SHARD := 1/1

.PHONY: demo down bench docs fuzz model soak sweep updates test test-docker test-failed test-pure test-vm check install install-dev

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
	$(SUDO) $(PYTHON) -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder

test-failed: check
	$(SUDO) $(PYTHON) -m pytest -q --last-failed --last-failed-no-failures none

bench: install-dev
ifdef DOCKER
	@packaging/install-deps mmdebstrap
	@$(SUDO) packaging/bench-docker "$${PYORCH_BENCH_CACHE:-/var/cache/pyorch-bench}"
endif
	$(SUDO) $(PYTHON) -m benchmarks

docs:
	@packaging/venv '[dev]'
	$(PYTHON) packaging/docs

fuzz:
	@packaging/venv '[dev]'
	PYORCH_FUZZ=$(FUZZ) $(PYTHON) -m pytest -q tests/orchestrator/spec/test_fuzz.py

updates: install-dev
	$(SUDO) env PYORCH_UPDATES=50 $(PYTHON) -m pytest -q -s tests/e2e/test_updates.py

sweep: install-dev
	$(SUDO) env PYORCH_SWEEP_POINTS=100000 $(PYTHON) -m pytest -q tests/sweep

model: install-dev
	$(SUDO) env PYORCH_MODEL_STEPS=$(STEPS) $(PYTHON) -m pytest -q tests/model/test_life.py

soak: install-dev
	$(SUDO) env PYORCH_SOAK_PASSES=$(PASSES) PYORCH_SOAK_RESTARTS=$$(($(PASSES) / 10)) \
		$(PYTHON) -m pytest -q tests/model/test_soak.py

test-pure:
	@packaging/venv '[dev]'
	$(PYTHON) -m pytest -q -m "not root"

test-docker: install-dev
	@packaging/install-deps mmdebstrap
	@$(SUDO) packaging/bench-docker "$${PYORCH_BENCH_CACHE:-/var/cache/pyorch-bench}"
	$(SUDO) $(PYTHON) -m pytest -q -s tests/differential

test-vm:
	@packaging/install-deps $(VM) $(TESTS)
	@packaging/venv '[dev]'
	@$(SUDO) packaging/vm/run guestbook
	@$(SUDO) env SHARD=$(SHARD) packaging/vm/run tests $(VM_TESTS)
