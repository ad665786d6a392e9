# Two commands do everything on a fresh machine:
#   make lab     the environment, then JupyterLab on the map of the course
#   make test    the environment, the browser, every check and test
# The rest is for people who work on the course.

.PHONY: lab test check bench constraints clean
# Where it is set, as in many containers, each of the many processes would compile every package it imports.
unexport PYTHONDONTWRITEBYTECODE
bin := .venv/bin
ready := pyproject.toml constraints.txt distlib/_guard.py tools/environment.sh \
    tools/distributed_systems_course_guard.pth tools/jupyter_lab_config.json tools/jupyter_lab_settings.json
here := $(shell pwd -P | cksum | cut -d ' ' -f 1)
readable := .venv/.readable-$(here)
testable := .venv/.testable-$(here)
as_root := $(if $(filter 0,$(shell id -u)),--allow-root)

lab: $(readable)
	exec $(bin)/jupyter lab --ip=127.0.0.1 $(as_root) notebooks/00_start_here.ipynb

test: check
	sh tools/browser.sh
	$(bin)/python -m pytest -n 2 --dist loadgroup --ignore=tests/browser --durations=25
	$(bin)/python -m pytest tests/browser --log-cli-level=INFO

# Lint, format, types, the floors of the house, notebooks without outputs.
check: $(testable)
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports
	find notebooks -name '*.ipynb' -not -path '*/.ipynb_checkpoints/*' -exec $(bin)/nbstripout --verify {} +

# Side-by-side measurements against peers; `make bench only=name` runs one.
bench: $(testable)
	$(bin)/python -m benchmarks $(only)

# Take the newest versions that pyproject.toml allows, and pin them.
constraints: $(testable)
	{ echo '# Exact versions of everything installed, written by `make constraints`.'; \
	  echo uv hatchling | tr ' ' '\n' | $(bin)/uv pip compile --quiet --upgrade --python-version 3.11 --extra test \
	      --no-header --no-annotate pyproject.toml -; } > constraints.new
	mv constraints.new constraints.txt

# An environment is made for one directory; a stamp says that it is up to date there.
$(readable): $(ready)
	sh tools/environment.sh
	touch $@

$(testable): $(ready)
	sh tools/environment.sh test
	touch $@ $(readable)

clean:
	rm -rf .venv .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache test-results bench-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
