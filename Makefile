# Two commands do all on a fresh machine with Go: make up runs the main job, make test tests everything.

.PHONY: build up test lint unit e2e race gen fmt chaos bench conform fuzz flood help

# All but those that drive whole programs.
packages = $$(go list ./... | grep -vE '/test/e2e$$')

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):[^#]*## /\1\t/p' Makefile | expand -t 8

build: ## bin/pacewire, and the heavy publishers beside it
	go build -trimpath -tags timetzdata -o bin/ ./cmd/... # time zones for machines that have none

up: build ## run the main job: embedded bus, the starter config, points of this machine
	bin/pacewire up

test: ## everything that CI wants; as root it installs first what tests need
	.ci/test

lint: ## gofmt, go vet, golangci-lint; generated files and go.mod are fresh
	.ci/lint

unit: ## tests of the packages, with the real servers that are on PATH
	go test -race -shuffle=on $(packages)

e2e: ## tests of the built program, as real processes
	go test -count=1 -timeout 20m ./test/e2e

race: ## the same, test and program with the race detector; four times slower
	go test -race -count=1 -timeout 40m ./test/e2e

gen: ## write what follows from the plugins: lists, schemas, docs, sample config
	go generate ./...

fmt: ## format the code and its imports, tidy go.mod
	.ci/golangci fmt
	go mod tidy

chaos: build ## the table of faults, to docs/reliability.md; ARGS='-rows F1,F5 -seed 7', '-short' or '-soak 8h'
	go run ./test/chaos $(or $(ARGS),-write docs/reliability.md)

bench: build ## measurements, each beside a reference of the same run; ARGS='-telegraf PATH'
	go run ./test/bench $(ARGS)

conform: build ## 1,000 mutations of each message, to a plugin of each kind in Go and in Python; ten minutes
	PACEWIRE_TEST_LONG=1 go test -count=1 -timeout 60m -v -run '^TestConformThousand$$' ./test/e2e

fuzz: ## each fuzz test for FOR (30s)
	.ci/fuzz $(or $(FOR),30s)

flood: ## programs that print 1 GB, in every format, and how hostile input grows: memory and time; five minutes
	PACEWIRE_TEST_LONG=1 go test -count=1 -timeout 60m -v -run '^(TestFlood1GB|TestLinear)$$' ./collector/exec ./internal/decode
