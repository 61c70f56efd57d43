# `make run` shows one operation from end to end, `make test` checks everything; the rest is in `make help`.

SHELL := /bin/bash
SWIFT ?= swift
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= /etc/systemd/system
DESTDIR ?=
# What is installed and measured carries the Swift runtime in it, so that it needs no toolchain.
RELEASE := -c release --static-swift-stdlib
SOURCES := Package.swift Sources Tests Benchmarks

.PHONY: help build run test test-host test-api test-crash test-fuzz test-guest crash bench format lint install clean setup setup-test setup-guest setup-bench

help:
	@echo "make run       run Examples/digits through real sandboxes, and show what became of it"
	@echo "make test      every test, on this host and in a guest with pure cgroup v2, the API by schemathesis, 100 kills, 20 s of fuzzing"
	@echo "make crash     kill agents and wardens ROUNDS times (5000) under load, and check what is left"
	@echo "make bench     the benchmark table (README.md)"
	@echo "make format    format the sources; make lint only looks"
	@echo "make install   programs, profiles and the systemd unit (PREFIX, SYSCONFDIR, UNITDIR, DESTDIR)"
	@echo "make setup     install the Debian packages that are missing; make clean removes .build"

setup:
	@.ci/packages build

setup-test: setup
	@.ci/packages test

setup-guest: setup
	@.ci/packages guest

setup-bench: setup
	@.ci/packages bench

build: setup
	$(SWIFT) build

run: build
	Examples/digits/run.sh

test: test-host test-api test-crash test-fuzz test-guest
	@cat .build/test/host.closing .build/test/api.closing .build/test/crash.closing .build/test/guest.closing \
		.build/test/fuzz.closing

test-host: setup-test
	@.ci/test-host $(SWIFT)

test-api: setup-test
	@.ci/test-api $(SWIFT)

test-crash: setup
	@.ci/test-crash $(SWIFT)

test-fuzz: setup
	@.ci/test-fuzz $(SWIFT)

test-guest: setup-guest
	@.ci/test-guest $(SWIFT)

ROUNDS ?= 5000
crash: setup
	$(SWIFT) build
	.build/debug/postlude-crash --profiles profiles --kills $(ROUNDS)

bench: setup-bench
	$(SWIFT) build $(RELEASE)
	Benchmarks/run.sh

format:
	$(SWIFT) format --configuration .swift-format --in-place --recursive --parallel $(SOURCES)

lint:
	$(SWIFT) format lint --configuration .swift-format --strict --recursive --parallel $(SOURCES)

install: setup
	$(SWIFT) build $(RELEASE)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/postlude $(DESTDIR)$(UNITDIR) \
		$(DESTDIR)$(SYSCONFDIR)/postlude
	install -s -m 755 .build/release/postlude .build/release/postluded .build/release/postlude-warden \
		.build/release/postlude-output $(DESTDIR)$(PREFIX)/bin
	cp -R --no-preserve=ownership profiles $(DESTDIR)$(PREFIX)/share/postlude
	sed 's#@PREFIX@#$(PREFIX)#g' .ci/postluded.service.in > $(DESTDIR)$(UNITDIR)/postluded.service

clean:
	rm -rf .build
