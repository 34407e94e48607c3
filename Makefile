# make demo   see it work, on any Debian or Ubuntu machine with Go (as root; ends by itself, leaves nothing behind)
# make test   everything: unit, race, network namespaces, a real Docker Engine (without root the last two are skipped)
# make help   the rest

GO       ?= go
FUZZTIME ?= 30s
BENCH    ?= .
SOAK     ?= 5m
TIMEOUT  ?= 25m
FAULTS   ?= ^TestFault
GOLANGCI ?= v2.15.0
NFPM     ?= v2.45.2
ARCHES   ?= amd64 arm64 armv7

.PHONY: help build run demo test check setup lint fuzz faults bench bench-compare microbench bench-dns soak screenshots nfpm deb rpm dist clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/'

build: ## bin/dockerwall, static
	@mkdir -p bin
	GO="$(GO)" packaging/compile.sh bin/dockerwall

run: build ## the daemon for the Engine of this host (ARGS=...); it waits where there is none yet
	./bin/dockerwall run $(ARGS)

demo: ## an Engine and an internet of its own, three containers, who reaches what and why (ARGS=-all: the whole ruleset)
	@[ "$$(id -u)" = 0 ] || { echo 'make demo makes network namespaces and needs root: sudo env PATH="$$PATH" make demo' >&2; exit 1; }
	@./internal/lab/setup.sh
	@$(GO) build -o .cache/bin/demo ./internal/lab/demo
	@./.cache/bin/demo $(ARGS)

# One package at a time: tests with real packets and deadlines are not to fight for the cores.
test: setup check ## all tests; with CI=true none may skip
	$(GO) test -race -count=1 -p 1 -timeout $(TIMEOUT) ./...

check: ## gofmt and go vet
	@unformatted=$$(gofmt -l .) && [ -z "$$unformatted" ] || { echo "gofmt -w these: $$unformatted" >&2; exit 1; }
	$(GO) vet ./...

# Without root the tests that need it skip with a reason; then nothing is fetched.
setup:
	@./internal/lab/setup.sh tests
	@[ "$$(id -u)" != 0 ] || $(GO) run ./internal/lab/fetch

lint: check ## golangci-lint v2 (.golangci.yml); the first time it is built, which takes some minutes
	@[ -x .cache/bin/golangci-lint-$(GOLANGCI) ] || { GOBIN="$(CURDIR)/.cache/lint" $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI) && \
		mkdir -p .cache/bin && mv .cache/lint/golangci-lint .cache/bin/golangci-lint-$(GOLANGCI); }
	.cache/bin/golangci-lint-$(GOLANGCI) run ./...

fuzz: ## every fuzz target, FUZZTIME each
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

faults: setup ## break things under packets that are counted, as often as docs/faults.md says, and write its tables; half an hour (FAULTS=pattern)
	$(GO) test -count=1 -timeout 180m -v -run '$(FAULTS)' ./cmd/dockerwall -args -faults -update

bench: setup ## the budgets measured side by side, in one table, in a quarter of an hour or so (BENCH=pattern ARGS='-json FILE')
	@$(GO) run ./internal/lab/bench -bench '$(BENCH)' $(ARGS)

bench-compare: setup ## what changed since `make bench ARGS='-json FILE'` (OLD=FILE, and NEW=FILE to compare without measuring)
	@$(GO) run ./internal/lab/bench -bench '$(BENCH)' -old '$(OLD)' -new '$(NEW)' $(ARGS)

microbench: setup ## Go's benchmarks of parts (BENCH=pattern)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m ./...

bench-dns: ## what holding DNS answers costs, and what is lost without, side by side, in some minutes (ARGS=-json FILE)
	@[ "$$(id -u)" = 0 ] || { echo 'make bench-dns makes network namespaces and needs root: sudo env PATH="$$PATH" make bench-dns' >&2; exit 1; }
	@./internal/lab/setup.sh
	@$(GO) build -o .cache/bin/benchdns ./internal/lab/benchdns
	@./.cache/bin/benchdns $(ARGS)

soak: ## a busy daemon for SOAK=5m: what leaks, is lost or grows (SOAK=2h; ARGS=-json FILE)
	@[ "$$(id -u)" = 0 ] || { echo 'make soak makes network namespaces and needs root: sudo env PATH="$$PATH" make soak' >&2; exit 1; }
	@./internal/lab/setup.sh
	@$(GO) build -o .cache/bin/soak ./internal/lab/soak
	@./.cache/bin/soak -for $(SOAK) $(ARGS)

screenshots: ## what a browser shows of the status page, into docs/images
	@./internal/lab/setup.sh tests
	@mkdir -p docs/images
	$(GO) test -count=1 -run TestAPersonCanReadThePage ./page -screenshots "$(CURDIR)/docs/images"

nfpm: .cache/bin/nfpm-$(NFPM)

deb rpm: .cache/bin/nfpm-$(NFPM) ## packages into dist/, the same bytes for the same commit (ARCHES="amd64 arm64 armv7")
	GO="$(GO)" NFPM="$(CURDIR)/$<" packaging/build.sh $@ "$(ARCHES)"

dist: .cache/bin/nfpm-$(NFPM) ## packages and archives of all architectures, with SHA256SUMS
	rm -rf dist
	GO="$(GO)" NFPM="$(CURDIR)/$<" packaging/build.sh "deb rpm tar" "$(ARCHES)"
	cd dist && sha256sum * >SHA256SUMS

# A tool, not a dependency. Later versions need a module that not every proxy has.
.cache/bin/nfpm-%:
	GOBIN="$(CURDIR)/.cache/nfpm" GOFLAGS= CGO_ENABLED=0 $(GO) install -trimpath github.com/goreleaser/nfpm/v2/cmd/nfpm@$*
	@mkdir -p .cache/bin && mv .cache/nfpm/nfpm $@

clean: ## removes what was built and fetched
	rm -rf bin dist .cache
