# Every verb works from a fresh clone: the virtual environment in .venv is made on first use.
PYTHON ?= $(shell for p in python3.11 python3; do $$p -c '' 2>/dev/null && echo $$p && break; done)
WORKERS ?= 2
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt
# In an environment of pip's own, scikit-build-core would begin every build anew.
BUILD := --quiet --no-deps --no-build-isolation --config-settings build-dir=build/core
TOOLS := from scikit_build_core.build import get_requires_for_build_wheel as needs; print(*needs())
CMAKE := $(or $(shell command -v cmake),$(BIN)/cmake)
GENERATOR := $(if $(shell command -v ninja),-G Ninja)
CORE := CMakeLists.txt $(shell find csrc -type f -not -path 'csrc/tests/*')

# Where there is a compiler, a native core that does not build is an error and not an absence.
ifneq ($(foreach compiler,$(CXX) c++ g++ clang++,$(shell command -v $(compiler))),)
export GRUKIT_REQUIRE_NATIVE ?= 1
endif

.PHONY: help setup demo check test bench compare compare-full docs native wheel sanitize neon clean

help: ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile

setup: .venv/.setup ## install grukit with every extra and the tools, into .venv

demo: .venv/.native ## train and show a weather forecast; writes ./demo
	$(BIN)/grukit demo

check: .venv/.setup ## style, types and import layers, in under 30 seconds
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python tools/check_layers.py
	$(BIN)/pyright --pythonpath $(BIN)/python

test: .venv/.setup .venv/.native ## all tests and docstring examples
	$(BIN)/python -m pytest --numprocesses $(WORKERS)

bench: .venv/.bench ## the layers beside other libraries, in about 12 minutes; writes docs/benchmarks
	$(BIN)/python benchmarks/native_speed.py

compare: .venv/.setup .venv/.native ## RNN, LSTM, GRU and minGRU on every problem, in half an hour
	$(BIN)/python benchmarks/compare.py

compare-full: .venv/.setup .venv/.native ## the same at the sizes of the literature, in about four hours; goes on
	$(BIN)/python benchmarks/compare.py --full

docs: .venv/.setup ## the documentation, into docs/_build/html
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going docs docs/_build/html

native: .venv/.native ## build the native core again, where its sources have changed

wheel: .venv/.setup ## the package with its native core, into dist
	$(BIN)/python -m pip wheel $(BUILD) --wheel-dir dist .

sanitize: .venv/.setup ## the C++ tests under the sanitizers of addresses, undefined behaviour and threads
	$(call cpp_tests,asan,-DGRUKIT_SANITIZE=address$(comma)undefined)
	$(call cpp_tests,tsan,-DGRUKIT_SANITIZE=thread)

neon: .venv/.setup ## the C++ tests for ARM, in qemu; needs g++-aarch64-linux-gnu and qemu-user
	$(call cpp_tests,neon,--toolchain csrc/aarch64.cmake)

clean: ## remove what the verbs have made
	rm -rf .venv build dist demo docs/_build docs/_figures .pytest_cache .ruff_cache .hypothesis

comma := ,
define cpp_tests
$(CMAKE) -S . -B build/$(1) -DGRUKIT_TESTS=ON $(GENERATOR) $(2) >/dev/null
$(CMAKE) --build build/$(1) --target cpp_tests --parallel $(WORKERS)
$(dir $(CMAKE))ctest --test-dir build/$(1) --output-on-failure --no-tests=error --timeout 300
endef

# The demo needs little, so that a newcomer waits little; setup adds the rest.
.venv/.demo: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "grukit needs Python 3.11 or newer, found none; name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("grukit needs Python 3.11 or newer, got " + sys.version.split()[0] + "; name another: make PYTHON=/path/to/python")'
	$(PYTHON) -m venv .venv
	$(INSTALL) --upgrade "pip>=25.3" scikit-build-core
	$(INSTALL) scikit-build-core $$($(BIN)/python -c '$(TOOLS)')
	$(BIN)/python -m pip install $(BUILD) --editable .
	$(INSTALL) 'grukit[forecast,plots,demo]'
	@touch $@

.venv/.setup: .venv/.demo
	$(INSTALL) 'grukit[all]' --group test --group check --group docs
	@touch $@

.venv/.bench: .venv/.setup
	$(INSTALL) --group bench
	@touch $@

.venv/.native: .venv/.demo $(CORE)
	$(BIN)/python -m pip install $(BUILD) --editable .
	@touch $@
