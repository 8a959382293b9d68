# make demo · make check · make test · make fuzz · make test-parity · make test-bindings · make test-mediapipe · make test-arm · make lint · make floors · make options · make bench: each makes the environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo check test fuzz test-all test-parity test-bindings test-mediapipe test-arm lint floors options bench clean

$(VENV)/.installed: pyproject.toml constraints.txt scripts/install tests/plugin/pyproject.toml
	PYTHON=$(PYTHON) scripts/install $(VENV) dev
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python scripts/demo.py

test: $(VENV)/.installed
	scripts/test $(VENV)

check: $(VENV)/.installed
	scripts/check $(VENV)

# FUZZ: mutations of each kind of file, about 200 a second.
FUZZ ?= 20000
fuzz: $(VENV)/.installed
	EDGEEFF_FUZZ=$(FUZZ) $(BIN)/python -m pytest -q tests/fuzz

test-all: $(VENV)/.installed
	scripts/test $(VENV) --all

$(VENV)-parity/.installed: pyproject.toml scripts/parity
	PYTHON=$(PYTHON) scripts/parity --install $(VENV)-parity
	touch $@

test-parity: $(VENV)-parity/.installed
	scripts/parity $(VENV)-parity

test-bindings: $(VENV)/.installed
	scripts/bindings --install $(VENV) $(VENV)-bindings
	scripts/bindings $(VENV) $(VENV)-bindings

$(VENV)-mediapipe/.installed: scripts/mediapipe
	PYTHON=$(PYTHON) scripts/mediapipe --install $(VENV)-mediapipe
	touch $@

test-mediapipe: $(VENV)/.installed $(VENV)-mediapipe/.installed
	scripts/mediapipe $(VENV) $(VENV)-mediapipe

$(VENV)-arm/.installed: scripts/arm constraints.txt
	PIP="$(BIN)/python -m pip" scripts/arm --install $(VENV)-arm

# The device side on aarch64, under emulation; half an hour.
test-arm: $(VENV)/.installed $(VENV)-arm/.installed
	scripts/arm $(VENV) $(VENV)-arm

lint: $(VENV)/.installed
	scripts/lint $(VENV)

# The table of docs/architecture.md, from docs/floors.toml.
floors: $(VENV)/.installed
	$(BIN)/python scripts/floors.py

# What is written from the declarations of options.
options: $(VENV)/.installed
	$(BIN)/python -m edgeeff.pipeline.request.writing
	$(BIN)/python -m edgeeff.training.writing

$(VENV)-peers/.installed: pyproject.toml constraints.txt scripts/install
	PYTHON=$(PYTHON) scripts/install $(VENV)-peers peers
	touch $@

# docs/performance.md, measured anew; half an hour.
bench: $(VENV)-peers/.installed
	scripts/bench $(VENV)-peers

clean:
	rm -rf $(VENV) $(VENV)-peers $(VENV)-parity $(VENV)-bindings $(VENV)-mediapipe $(VENV)-arm dist demo
