# Each target sets up what it needs. The environment is remade when a requirements file changes.
export PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COLAB := .venv-colab
OLDEST := .venv-oldest
BENCH := .venv-bench
PARTS := $(wildcard requirements/*.txt requirements/node/*.json)
INSTALL := tools/make_environment.sh

# The parts of `make test`, in this order; each is a target of its own, such as test-browsers.
STAGES := lint unit notebooks browsers grading timed
TIMED := tests/browser/test_budget.py
GRADING := $(wildcard tests/test_grading*.py tests/test_sandbox*.py)
# Two processes with one thread each: more threads than cores would mostly wait for each other.
PARALLEL := -m pytest --numprocesses 2 --durations 20 --durations-min 2
# ARITHMETIC=plain or avx2: as on a processor of another family, where sums of floats differ in their last digits.
ARITHMETIC := native
native :=
avx2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=AVX2 OPENBLAS_CORETYPE=Haswell
plain := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Nehalem
ifeq ($(filter $(ARITHMETIC),native avx2 plain),)
$(error ARITHMETIC must be native, avx2 or plain, not $(ARITHMETIC))
endif
TEST := OMP_NUM_THREADS=1 $($(ARITHMETIC)) $(BIN)/python

.NOTPARALLEL:
.PHONY: help system set-up book test browsers grading $(STAGES:%=test-%) wheel colab oldest lab notebooks applied-evidence evidence bench gpu \
	editions grade class made-up-class bundle paper lock clean

help:
	@echo "make book       build the site from the stored notebook outputs"
	@echo "make test       run all tests and re-execute all notebooks; ARITHMETIC=plain or avx2 as on another processor"
	@echo "make test-NAME  one part of it: $(STAGES)"
	@echo "make colab      run all notebooks from the wheel alone, on the book's versions and on Colab's"
	@echo "make oldest     run the loss, the diagnosis and one chapter on the oldest versions that focal_lib allows"
	@echo "make bench      time the losses beside their peers (makes book/speed.md) and the sweep beside the plain loop"
	@echo "make gpu        on a machine with an NVIDIA GPU: its tests, the timings (book/speed.md), the sweep, all notebooks"
	@echo "make lab        open the notebooks in JupyterLab"
	@echo "make notebooks  re-execute all notebooks and store their outputs"
	@echo "make evidence   rerun the 200 seeds behind chapters 02, 03, 05 and 10, then the claims page (an hour and a half on two cores)"
	@echo "make applied-evidence  rerun the many seeds behind the text and the detection chapter (an hour on two cores)"
	@echo "make editions   write the student exercises, and their autograder zips, from the masters"
	@echo "make class ROSTER=names.csv EXERCISES=\"1 9\" SEED=7   a notebook of their own for each student, into class/"
	@echo "make grade SUBMISSIONS=folder   grade a class, each notebook in a sandbox; needs bubblewrap; more: book/teaching.md"
	@echo "make made-up-class   grade a made-up class of 300, hostile notebooks among them"
	@echo "make paper      the book as PDF (A4 and Letter) and as EPUB, from the built site into _build/html/paper"
	@echo "make bundle     one zip for a classroom without a network: site, notebooks, wheel"
	@echo "make lock       pin what is installed now in requirements/constraints.txt"
	@echo "make clean      remove the environment and everything built"

define NODE_PACKAGES
@mkdir -p $(VENV)/node
@cp requirements/node/*.json $(VENV)/node
@$(BIN)/npm ci --prefix $(VENV)/node --no-audit --no-fund --loglevel=error || { echo "npm could not install the pages' Python and the checker of the workflows; is there a network? Run the same command again." >&2; exit 1; }
endef

$(VENV)/book-ready: requirements/book.txt requirements/constraints.txt pyproject.toml $(wildcard requirements/node/*.json)
	@$(INSTALL) $(VENV) -r requirements/book.txt
	@$(INSTALL) $(VENV) --no-deps --editable .
	$(NODE_PACKAGES)
	@touch $@

$(VENV)/all-ready: $(VENV)/book-ready requirements.txt $(PARTS)
	@$(INSTALL) $(VENV) -r requirements.txt
	@# Once more, because an environment whose set-up was interrupted starts from nothing.
	@$(INSTALL) $(VENV) --no-deps --editable .
	$(NODE_PACKAGES)
	@touch $(VENV)/book-ready $@

$(COLAB)/ready: requirements/colab.txt
	@$(INSTALL) $(COLAB) -r requirements/colab.txt
	@touch $@

$(OLDEST)/ready: requirements/oldest.txt
	@$(INSTALL) $(OLDEST) -r requirements/oldest.txt
	@touch $@

$(BENCH)/ready: requirements/bench.txt requirements/peers.txt
	@$(INSTALL) $(BENCH) -r requirements/bench.txt
	@$(INSTALL) $(BENCH) --no-deps -r requirements/peers.txt
	@touch $@

wheel: $(VENV)/all-ready
	@rm -rf build dist
	$(BIN)/python -m build

book: $(VENV)/book-ready
	@# Always from nothing: a build over an older one repeats no warning of a cached page and keeps pages that are gone.
	@rm -rf _build
	$(BIN)/jupyter-book build . --warningiserror --nitpick --keep-going
	@echo "The book is built. Open file://$(CURDIR)/_build/html/index.html"

system:
	@$(INSTALL) $(VENV)
	@tools/install_system_packages.sh browsers grading

set-up: system $(VENV)/all-ready

# What may stop the tests comes first. Then the site, from what `make book` alone installs. Then the rest.
test: system book set-up
	@tools/run_stages.sh $(STAGES)

test-lint: $(VENV)/all-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test-unit: $(VENV)/all-ready _build/html
	$(TEST) $(PARALLEL) --dist worksteal --ignore tests/browser $(GRADING:%=--ignore %) tests

test-notebooks: $(VENV)/all-ready
	$(TEST) $(PARALLEL) --dist loadfile --nbval --nbval-sanitize-with tests/nbval.cfg notebooks

test-browsers: browsers $(VENV)/all-ready _build/html
	$(TEST) $(PARALLEL) --dist loadgroup --ignore $(TIMED) tests/browser

test-grading: grading $(VENV)/all-ready
	$(TEST) $(PARALLEL) --dist loadgroup $(GRADING)

# By themselves, because they measure time.
test-timed: browsers $(VENV)/all-ready _build/html
	$(BIN)/python -m pytest $(TIMED)

browsers grading:
	@tools/install_system_packages.sh $@

# The parts look at the site that is there; `make test` makes it anew.
_build/html:
	@$(MAKE) --no-print-directory book

colab: wheel $(COLAB)/ready
	$(BIN)/python tools/run_from_wheel.py dist/*.whl
	$(COLAB)/bin/python tools/run_from_wheel.py dist/*.whl --colab

oldest: wheel $(OLDEST)/ready
	$(OLDEST)/bin/python -m pytest tests/test_losses.py tests/test_fused.py tests/test_diagnosis.py
	$(OLDEST)/bin/python tools/run_from_wheel.py dist/*.whl notebooks/07_diagnose.ipynb --oldest

evidence: $(VENV)/all-ready
	$(BIN)/python experiments/training.py
	$(BIN)/python experiments/training.py --long
	$(BIN)/python experiments/training.py --own-rates
	$(BIN)/python experiments/training.py --repairs
	$(BIN)/python experiments/imbalance.py
	$(BIN)/python experiments/rivals.py
	$(BIN)/python tools/make_claims.py

applied-evidence: $(VENV)/all-ready
	$(BIN)/python experiments/text.py
	$(BIN)/python experiments/detection.py

paper: $(VENV)/all-ready _build/html
	$(BIN)/python tools/paper.py

bundle: book wheel paper
	$(BIN)/python tools/bundle.py dist/*.whl

bench: $(BENCH)/ready $(VENV)/all-ready
	PYTHONPATH=. $(BENCH)/bin/python benchmarks/speed.py
	PYTHONPATH=. $(BIN)/python benchmarks/speed_page.py
	$(BIN)/python benchmarks/sweep_speed.py

gpu: $(BENCH)/ready $(VENV)/all-ready
	@$(BIN)/python -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else "This needs an NVIDIA GPU and a torch built for it.")'
	$(BIN)/python -m pytest tests/test_cuda.py tests/test_losses.py tests/test_fused.py tests/test_training.py tests/test_sweep.py tests/test_detection.py
	PYTHONPATH=. $(BENCH)/bin/python benchmarks/speed_gpu.py
	PYTHONPATH=. $(BIN)/python benchmarks/speed_page.py
	$(BIN)/python benchmarks/sweep_speed.py
	$(BIN)/python -m pytest --nbval --nbval-sanitize-with tests/nbval.cfg notebooks

lab: $(VENV)/all-ready
	$(BIN)/jupyter lab notebooks/01_imbalance.ipynb

notebooks: $(VENV)/all-ready
	$(BIN)/python tools/run_notebooks.py

editions: $(VENV)/all-ready
	$(BIN)/python tools/editions.py

grade: $(VENV)/all-ready
	@test -n "$(SUBMISSIONS)" || { echo "Say which folder holds the submissions: make grade SUBMISSIONS=folder"; exit 2; }
	$(BIN)/python grading/grade.py "$(SUBMISSIONS)" $(if $(CLASS),--class "$(CLASS)") $(if $(ROSTER),--roster "$(ROSTER)") \
		$(if $(ASSIGNMENT),--assignment "$(ASSIGNMENT)") $(if $(EXERCISES),--exercises $(EXERCISES))

class: $(VENV)/all-ready
	@test -n "$(ROSTER)" || { echo "Say who is in the class: make class ROSTER=names.csv EXERCISES=\"1 9\" SEED=7"; exit 2; }
	$(BIN)/python grading/classroom.py "$(ROSTER)" $(if $(EXERCISES),--exercises $(EXERCISES)) \
		$(if $(SEED),--seed "$(SEED)") $(if $(CLASS),--out "$(CLASS)")

made-up-class: $(VENV)/all-ready
	CLASS_SIZE=300 $(BIN)/python -m pytest --capture=no tests/test_grading.py

lock: $(VENV)/all-ready
	$(BIN)/python -m pip freeze --exclude-editable | grep -v '^torch==' | sed 's/ @ .*//; s/+cpu//' > requirements/constraints.txt

clean:
	rm -rf _build $(VENV) $(COLAB) $(OLDEST) $(BENCH) build dist *.egg-info
