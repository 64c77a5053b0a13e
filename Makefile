# Everything a newcomer needs; `make help` lists it. The targets set up .venv by themselves.

PYTHON    ?= $(firstword $(foreach name,python3.11 python3,$(shell command -v $(name))))
MODEL_DIR ?= models
HTTP_PORT ?= 8080
GRPC_PORT ?= 8081
IMAGE      ?= polyserve:latest
FRAMEWORKS ?= all
GPU        ?= false
# The container engine: Docker where its daemon answers, else Podman. BUILD_FLAGS are handed to its `build`.
ENGINE      ?= $(shell docker info >/dev/null 2>&1 && echo docker || echo podman)
BUILD_FLAGS ?=
# How the tests are spread over processes: one more than there are cores, as many wait for servers, but each takes up to
# two gigabytes.
PARALLEL ?= -n $(shell expr $$(nproc) + 1) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Seconds of coverage-guided fuzzing of each of its targets.
GUIDED ?= 30

# Per cent of the lines of server/ and adapters/ that tests reach in their own processes, at least.
COVERED := 94
# Hundreds of servers are started: none need compile what the first has compiled, whatever the shell says.
check test test-image conformance: export PYTHONDONTWRITEBYTECODE =

VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' server/__init__.py)

BIN   := .venv/bin
STAMP := .venv/.installed
# What serves, and makes the example models, without the tools of tests.
SERVES := .venv/.serves

EVERYTHING := --editable '.[all,test]'
SERVING    := --editable '.[all]' onnx skl2onnx

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables: PYTHON MODEL_DIR HTTP_PORT GRPC_PORT IMAGE FRAMEWORKS GPU ENGINE BUILD_FLAGS PARALLEL GUIDED,"
	@echo "  as in: make serve MODEL_DIR=/srv/models HTTP_PORT=9000"

.PHONY: install
install: $(STAMP) ## Make .venv with every framework and the test tools

# A stamp comes last, so an interrupted installation is taken up again; a .venv whose pip is broken is made anew.
# constraints.txt also keeps pip from taking a newer build of torch than the one that is tested.
define install
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "PolyServe needs Python 3.11, 3.12 or 3.13, found '$(PYTHON)'; name one: make install PYTHON=python3.11" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear .venv
	@echo "Installing into .venv; the first time takes some minutes"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt $(1)
endef

$(STAMP): pyproject.toml constraints.txt
	$(call install,$(EVERYTHING))
	@touch $(SERVES) $@

$(SERVES): pyproject.toml constraints.txt
	$(call install,$(SERVING))
	@touch $@

.PHONY: models
models: $(SERVES) ## Make the example models in models/, if there are none
	@if [ -z "$$(ls -A models 2>/dev/null)" ]; then \
		$(BIN)/python -m examples build/models && mkdir -p models && mv build/models/* models; \
	fi

.PHONY: serve
serve: $(SERVES) $(if $(filter models,$(MODEL_DIR)),models) ## Serve MODEL_DIR (the example models) on ports 8080 and 8081
	exec $(BIN)/python -m server --model_dir "$(MODEL_DIR)" --http_port $(HTTP_PORT) --grpc_port $(GRPC_PORT)

.PHONY: lint
lint: $(STAMP) ## Run ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: lock
lock: $(STAMP) ## Resolve what the image installs, with hashes, into deploy/image (after a change of constraints or extras)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python deploy/image/lock.py

.PHONY: audit
audit: $(STAMP) ## Look for known vulnerabilities in the tested versions of constraints.txt (asks the package index)
	@"$(PYTHON)" -m venv --clear build/audit
	@build/audit/bin/python -m pip install --quiet pip-audit
	build/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

.PHONY: check
check: lint ## Run ruff, mypy and the fast tests
	$(BIN)/python -m pytest $(PARALLEL) -m "not e2e and not slow and not image" --ignore=tests/e2e

.PHONY: test
test: lint ## Run ruff, mypy and every test but those of the image, the end-to-end ones included
	@mkdir -p build
	$(BIN)/python -m slipcover --json --out build/coverage.json -m pytest $(PARALLEL) -m "not image"
	@$(BIN)/python -m slipcover --merge build/coverage.json --out build/coverage.json --fail-under $(COVERED)

.PHONY: conformance
conformance: $(STAMP) ## Run what peers publish: every call of Triton's clients, documented requests, scikit-learn's estimators, onnx's tests
	EVERY_CASE=1 $(BIN)/python -m pytest $(PARALLEL) tests/conformance tests/e2e/test_documented_requests.py \
		tests/e2e/test_triton_clients.py tests/e2e/test_schemathesis.py tests/e2e/test_corpus.py tests/adapters/sklearn_/test_sweep.py \
		tests/adapters/tensorflow_/test_saved_model.py tests/server/codec/test_data_frames.py \
		tests/server/codec/test_content_types.py

.PHONY: messages
messages: $(STAMP) ## List every message that the product can print, with a test that names it (WORDS="no rows" for some)
	@$(BIN)/python -m tests.messages $(WORDS)

.PHONY: docs
docs: $(STAMP) ## Write the pages of docs/ that are made from the code: settings, metrics, errors, mistakes
	@$(BIN)/python -m tests.docs.generate

.PHONY: test-image
test-image: $(STAMP) ## Build the image and run its tests
	$(BIN)/python -m pytest -m image tests/test_image.py

.PHONY: fuzz
fuzz: $(STAMP) ## Attack servers by requests, bodies, messages and folders, for some minutes (SEED=2 for others than last time)
	$(BIN)/python -m tests.fuzz.parsers --seed $(or $(SEED),1) --cases 20000
	$(BIN)/python -m tests.fuzz.bodies --seed $(or $(SEED),1) --cases 20000
	$(BIN)/python -m tests.fuzz.messages --seed $(or $(SEED),1) --cases 20000
	$(BIN)/python -m tests.fuzz.fronts --seed $(or $(SEED),1) --cases 20000
	$(BIN)/python -m tests.fuzz.grpc_clients --seed $(or $(SEED),1) --cases 20000
	$(BIN)/python -m tests.fuzz.http2 --seed $(or $(SEED),1) --cases 20000
	$(BIN)/python -m tests.fuzz.folders --seed $(or $(SEED),1) --cases 5000
	$(BIN)/python -m tests.fuzz.tokenizer_files --seed $(or $(SEED),1) --cases 1000
	$(BIN)/python -m tests.fuzz.frames --seed $(or $(SEED),1) --cases 50000
	@[ -d build/atheris ] || $(BIN)/python -m pip install --quiet --no-deps --only-binary :all: --target build/atheris atheris || true
	$(BIN)/python -m tests.fuzz.guided --seconds $(GUIDED)

.PHONY: bench
bench: $(STAMP) ## Measure PolyServe and its peers side by side, into bench/RESULTS.md
	@command -v wrk >/dev/null && command -v h2load >/dev/null || \
		{ echo "make bench needs two load generators; on Debian: apt-get install wrk nghttp2-client" >&2; exit 1; }
	$(BIN)/python -m bench

.PHONY: image
image: ## Build the container image with FRAMEWORKS (all, or some: sklearn,xgboost), with CUDA by GPU=true
	$(ENGINE) build $(BUILD_FLAGS) --build-arg FRAMEWORKS=$(FRAMEWORKS) --build-arg GPU=$(GPU) \
		--label org.opencontainers.image.version=$(VERSION) \
		--label org.opencontainers.image.revision="$$(git rev-parse HEAD 2>/dev/null)" --tag $(IMAGE) .

.PHONY: manifests
manifests: $(STAMP) ## Make deploy/deployment.yaml from the chart
	@{ echo "# PolyServe on plain Kubernetes, without KServe and without Helm: the chart with its defaults (make manifests)."; \
	$(BIN)/helm template polyserve deploy/chart | grep -v -e '^# Source' -e 'helm.sh/chart' -e 'managed-by: Helm'; } > build.deployment
	@mv build.deployment deploy/deployment.yaml

.PHONY: clean
clean: ## Remove what make made, but for models/
	rm -rf .venv .bench build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
