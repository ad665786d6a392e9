"""The files that set the course up agree with one another."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from distlib.course.chapters import CHAPTERS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FROM_CONDA = {"jupyterlab", "ipywidgets", "networkx", "pandas", "plotly"}
WRONG_NAMES = {"virtualenv", "pre-commit", "tox", "nox", "distlib"}  # PyPI's distlib, and what pulls it in
REGISTRIES = (
    "pypi" + ".org",
    "python" + "hosted",
    "anaconda" + ".org",
    "conda" + ".io",
    "npm" + "js",
    "debian" + ".org",
)


def requirements(lines: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name(one.name): one for one in map(Requirement, lines)}


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pattern = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!]+)")
    assert [line for line in lines if not pattern.fullmatch(line)] == [], "names and versions only"
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def committed_files() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def test_the_conda_environment_has_the_same_bounds_as_the_project() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda = requirements([entry for entry in environment["dependencies"] if isinstance(entry, str)])
    pip = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    project = requirements(PROJECT["dependencies"])

    assert environment["name"] == PROJECT["name"]
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert str(conda.pop("python").specifier) == PROJECT["requires-python"]
    assert str(conda.pop("pip").specifier) == ""
    assert conda.keys() == FROM_CONDA
    assert {name: one.specifier for name, one in conda.items()} == {name: project[name].specifier for name in conda}
    assert pip == [["-e ."]], "what conda does not bring comes from pyproject.toml"


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    pinned = pins()
    for name, one in requirements(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]).items():
        assert one.specifier.contains(pinned[name]), f"{name}: {pinned[name]} is not within {one.specifier}"


def test_the_wrong_distlib_and_what_pulls_it_in_stay_out() -> None:
    assert not WRONG_NAMES & pins().keys()
    assert PROJECT["name"] not in WRONG_NAMES


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for one in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]:
        assert re.search(rf'^\s*"{re.escape(one)}",\s+# \S', text, re.M), f"{one} has no comment"


def test_the_first_screen_of_the_readme_has_every_way_in() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:25])
    for command in (
        "make lab",
        "make test",
        "conda env create -f environment.yml",
        "pip install -c constraints.txt -e .",
    ):
        assert command in first_screen


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_the_examples_of_the_readme_run() -> None:
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    assert examples
    for example in examples:
        done = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_readme_lists_the_chapters_as_the_map_does() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    notebooks = {path.stem for path in committed_files() if path.parent == ROOT / "notebooks"}
    written = [one for one in CHAPTERS if one.name in notebooks]

    assert notebooks - {one.name for one in written} == {"00_start_here"}
    assert re.findall(r"\(notebooks/(\w+)\.ipynb\) \| ([^|]+) \|", readme) == [
        ("00_start_here", "the map of the course"),
        *((one.name, one.heading) for one in written),
    ]


@pytest.mark.parametrize("host", REGISTRIES)
def test_no_file_names_a_registry(host: str) -> None:
    named = [path.name for path in committed_files() if host.encode() in path.read_bytes()]
    assert named == []
