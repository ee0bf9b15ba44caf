PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints.txt

.PHONY: run test microcosm clean

# The embedded suite, from pool to leaderboard.
run: $(VENV)/installed
	$(BIN)/bench run --methods tshirt,tokentune,micro-response

# Everything that must hold: style, types and tests.
test: $(VENV)/installed
	$(BIN)/ruff check harness plugins tests benchmarks
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

# Train the embedded suite's base model again.
microcosm: $(VENV)/installed
	$(BIN)/python -m sftbench_plugins.microcosm.pretrain

# pip first, for dependency groups; then torch alone, as pinned, so that nothing else brings another build of it.
$(VENV)/installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e . --group dev
	touch $@

# The environment of vLLM for a CPU, which the tests marked vllm use; it is made once.
.vllm/installed: $(VENV)/installed
	$(BIN)/bench judge install --cpu --into .vllm
	touch $@

clean:
	rm -rf $(VENV) .vllm build dist .pytest_cache .mypy_cache .ruff_cache
