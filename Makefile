# `make quickstart` and `make test` are all there is to set up: both create the environment that they need and reuse it.

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
RUNS := runs/quickstart
STAMP := $(VENV)/.installed

.PHONY: quickstart real test check clean

quickstart: $(STAMP)
	@PATH="$(BIN):$$PATH" RUNS="$(RUNS)" bash scripts/quickstart.sh

real: $(STAMP)
	@PATH="$(BIN):$$PATH" bash scripts/real.sh

test: $(STAMP)
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

check: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mkdocs build --quiet

$(STAMP): pyproject.toml constraints.txt scripts/install.sh
	@bash scripts/install.sh $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) runs .mypy_cache .pytest_cache .ruff_cache
