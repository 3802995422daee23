# Each target sets up what it needs. The environment is remade when a requirements file changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COLAB := .venv-colab
TIMED := tests/browser/test_budget.py
BENCH := .venv-bench
PARTS := $(wildcard requirements/*.txt requirements/node/*.json)

.PHONY: help book test wheel colab lab notebooks applied-evidence evidence bench editions grade class bundle lock clean

help:
	@echo "make book       build the site from the stored notebook outputs"
	@echo "make test       run all tests and re-execute all notebooks"
	@echo "make colab      run all notebooks from the wheel alone, on the book's versions and on Colab's"
	@echo "make bench      time the losses beside their peers (makes book/speed.md) and the sweep beside the plain loop"
	@echo "make lab        open the notebooks in JupyterLab"
	@echo "make notebooks  re-execute all notebooks and store their outputs"
	@echo "make evidence   rerun the 200 seeds behind chapters 03 and 05, then the claims page (half an hour on two cores)"
	@echo "make applied-evidence  rerun the many seeds behind the text and the detection chapter (an hour on two cores)"
	@echo "make editions   write the student exercises, and their autograder zips, from the masters"
	@echo "make grade SUBMISSIONS=folder   grade a class, each notebook in a sandbox; needs bubblewrap"
	@echo "make class      grade a made-up class of 300, hostile notebooks among them"
	@echo "make bundle     one zip for a classroom without a network: site, notebooks, wheel"
	@echo "make lock       pin what is installed now in requirements/constraints.txt"
	@echo "make clean      remove the environment and everything built"

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "This needs Python 3.11 or newer, not " + sys.version.split()[0] + "; name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/book-ready: $(VENV)/made requirements/book.txt requirements/constraints.txt pyproject.toml
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements/book.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/all-ready: $(VENV)/book-ready requirements.txt $(PARTS)
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	@mkdir -p $(VENV)/node
	@cp requirements/node/*.json $(VENV)/node
	$(BIN)/npm ci --prefix $(VENV)/node --no-audit --no-fund
	@touch $@

$(COLAB)/ready: requirements/colab.txt
	$(PYTHON) -m venv $(COLAB)
	$(COLAB)/bin/python -m pip install --disable-pip-version-check -r requirements/colab.txt
	@touch $@

$(BENCH)/ready: requirements/bench.txt requirements/peers.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --disable-pip-version-check -r requirements/bench.txt
	$(BENCH)/bin/python -m pip install --disable-pip-version-check --no-deps -r requirements/peers.txt
	@touch $@

wheel: $(VENV)/all-ready
	@rm -rf build dist
	$(BIN)/python -m build

book: $(VENV)/book-ready
	@# Always from nothing: a build over an older one repeats no warning of a cached page and keeps pages that are gone.
	@rm -rf _build
	$(BIN)/jupyter-book build . --warningiserror --nitpick --keep-going
	@echo "The book is built. Open file://$(CURDIR)/_build/html/index.html"

test: $(VENV)/all-ready book
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# Two processes with one thread each: more threads than cores would mostly wait for each other.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --nbval --nbval-sanitize-with tests/nbval.cfg --ignore $(TIMED) tests notebooks
	@# By themselves, because they measure time.
	$(BIN)/python -m pytest $(TIMED)

colab: wheel $(COLAB)/ready
	$(BIN)/python tools/run_from_wheel.py dist/*.whl
	$(COLAB)/bin/python tools/run_from_wheel.py dist/*.whl --colab

evidence: $(VENV)/all-ready
	$(BIN)/python experiments/training.py
	$(BIN)/python tools/make_claims.py

applied-evidence: $(VENV)/all-ready
	$(BIN)/python experiments/text.py
	$(BIN)/python experiments/detection.py

bundle: book wheel
	$(BIN)/python tools/bundle.py dist/*.whl

bench: $(BENCH)/ready $(VENV)/all-ready
	PYTHONPATH=. $(BENCH)/bin/python benchmarks/speed.py
	$(BIN)/python benchmarks/speed_page.py
	$(BIN)/python benchmarks/sweep_speed.py

lab: $(VENV)/all-ready
	$(BIN)/jupyter lab notebooks/01_imbalance.ipynb

notebooks: $(VENV)/all-ready
	$(BIN)/python tools/run_notebooks.py

editions: $(VENV)/all-ready
	$(BIN)/python tools/editions.py

grade: $(VENV)/all-ready
	@test -n "$(SUBMISSIONS)" || { echo "Say which folder holds the submissions: make grade SUBMISSIONS=folder"; exit 2; }
	$(BIN)/python grading/grade.py "$(SUBMISSIONS)"

class: $(VENV)/all-ready
	CLASS_SIZE=300 $(BIN)/python -m pytest --capture=no tests/test_grading.py

lock: $(VENV)/all-ready
	$(BIN)/python -m pip freeze --exclude-editable | grep -v '^torch==' | sed 's/ @ .*//; s/+cpu//' > requirements/constraints.txt

clean:
	rm -rf _build $(VENV) $(COLAB) $(BENCH) build dist *.egg-info
