# Two commands matter: `make demo` and `make test`. Both install what they need and say so.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
RUN := $(VENV)/bin/python -m

.PHONY: demo test check lab lab-down faults bench lock clean

demo: $(STAMP)  ## take two bare hosts of the lab to a WebUI that answers
	@$(RUN) tests.lab.demo

test: $(STAMP)  ## every test, the lab's included
	@$(RUN) pytest -q tests

check: $(STAMP)  ## ruff and mypy
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

lab: $(STAMP)  ## two bare hosts and their services
	@$(RUN) tests.lab up

lab-down: $(STAMP)  ## remove the lab's hosts, services and engine
	@$(RUN) tests.lab down --all

faults: $(STAMP)  ## break updates in every way and in every state, about 20 minutes
	@$(RUN) tests.faults

bench: $(STAMP)  ## measure against Ansible and against a shell script
	@$(RUN) tests.bench

lock: $(STAMP)  ## pin the dependencies anew, by hash and without addresses
	@$(VENV)/bin/pip install --quiet uv
	@$(VENV)/bin/uv pip compile --quiet pyproject.toml --group dev --universal --python-version 3.10 \
		--generate-hashes --no-header --no-emit-index-url --no-emit-find-links --upgrade \
		--output-file requirements.lock

$(STAMP): requirements.lock
	@sh tests/prepare.sh "$(PYTHON)" $(VENV)
	@touch $@

clean:  ## remove what the tools left in this folder
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
