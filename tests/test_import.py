"""``import distlib`` is light, and the wrong ``distlib`` is named at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("plotly", "ipywidgets", "numba", "numpy", "pandas", "networkx", "scipy", "IPython")


def python(executable: Path | str, code: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(executable), "-c", code], cwd=directory, capture_output=True, text=True, check=False)


def test_importing_the_library_is_light() -> None:
    code = f"import sys, distlib; print([name for name in {HEAVY} if name in sys.modules])"
    assert python(sys.executable, code, ROOT).stdout == "[]\n"


class Environment:
    """A small virtual environment with the files that an editable install of the course puts there."""

    def __init__(self, directory: Path) -> None:
        venv.create(directory, with_pip=False)
        self.python = directory / "bin" / "python"
        (self.packages,) = directory.glob("lib/python*/site-packages")
        wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
        for source, target in wheel["force-include"].items():
            shutil.copy(ROOT / source, self.packages / target)
        (self.packages / "_editable.pth").write_text(f"{ROOT}\n")
        self.elsewhere = directory / "elsewhere"
        self.elsewhere.mkdir()

    def add_stranger(self) -> None:
        """Put what ``pip install virtualenv`` brings along: a package of our name, and its metadata."""
        (self.packages / "distlib").mkdir()
        (self.packages / "distlib" / "__init__.py").write_text("__version__ = '0.4.4'\n")
        (self.packages / "distlib-0.4.4.dist-info").mkdir()


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "environment")


def test_the_course_is_imported_from_anywhere(environment: Environment) -> None:
    done = python(environment.python, "import distlib; print(distlib.__file__)", environment.elsewhere)
    assert done.stdout == f"{ROOT / 'distlib' / '__init__.py'}\n", done.stderr


@pytest.mark.parametrize("statement", ["import distlib", "from distlib.labs.lab import Lab", "import distlib.core"])
@pytest.mark.parametrize("inside", [False, True], ids=["elsewhere", "in the repository"])
def test_the_wrong_distlib_is_refused(environment: Environment, statement: str, inside: bool) -> None:
    """In the repository our package shadows the stranger, which would win in the next directory."""
    environment.add_stranger()
    done = python(environment.python, statement, ROOT if inside else environment.elsewhere)
    assert done.returncode == 1
    assert "ImportError: the wrong `distlib`" in done.stderr
    assert "PyPI's unrelated package" in done.stderr
    assert f"Found:       {environment.packages}/distlib" in done.stderr
    assert f"{environment.python} -m pip uninstall -y distlib" in done.stderr


def test_a_file_of_that_name_is_refused(environment: Environment) -> None:
    file = environment.elsewhere / "distlib.py"
    file.write_text("print('mine')\n")
    done = python(environment.python, "import distlib", environment.elsewhere)
    assert f"Found:       {file}" in done.stderr
    assert done.stdout == ""


def test_the_start_of_an_unrelated_program_is_untouched(environment: Environment) -> None:
    environment.add_stranger()
    code = "import sys; print('distlib' in sys.modules, 'typing' in sys.modules)"
    done = python(environment.python, code, environment.elsewhere)
    assert (done.stdout, done.stderr) == ("False False\n", "")


IN_THE_WHEEL = """
import distlib, distributed_systems_course_guard
from distlib.labs.question import quiz
from distlib.raft.labs import RaftElectionLab
from distlib.raft.scenarios import ElectionParams, election
from distlib.workbench.museum import exhibit

assert election(ElectionParams(latency="regions")).events, "a scenario that reads published round trips"
lab = RaftElectionLab(seed=3)
lab.controls.seed.value = 8
assert lab.result.nodes and exhibit().failure and quiz("03_1_raft").questions
print(distlib.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network by way of the source distribution, as ``python -m build`` does."""
    directory = tmp_path_factory.mktemp("wheel")
    hatchling = [sys.executable, "-m", "hatchling", "build", "-d", str(directory)]
    subprocess.run([*hatchling, "-t", "sdist"], cwd=ROOT, check=True, capture_output=True)
    (source,) = directory.glob("*.tar.gz")
    shutil.unpack_archive(source, directory, filter="data")
    (unpacked,) = (one for one in directory.iterdir() if one.is_dir())
    subprocess.run([*hatchling, "-t", "wheel"], cwd=unpacked, check=True, capture_output=True)
    (built,) = directory.glob("*.whl")
    return built


def test_the_wheel_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Without ``-e``, with the course's dependencies: a scenario runs, a lab opens, the museum shows a mutant."""
    venv.create(tmp_path / "empty", with_pip=False)
    own = tmp_path / "empty" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(own), "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*install, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    (packages,) = (tmp_path / "empty").glob("lib/python*/site-packages")
    done = python(own, "import distlib.raft.raft; print(distlib.__file__)", tmp_path)
    assert done.stdout == f"{packages}/distlib/__init__.py\n", f"a protocol needs nothing else: {done.stderr}"
    # A directory that a .pth file names brings its packages, and not what its own .pth files add.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    done = python(own, IN_THE_WHEEL, tmp_path)
    assert (done.stdout, done.returncode) == (f"{packages}/distlib/__init__.py\n", 0), done.stderr


def test_the_wheel_holds_every_file_of_the_package_and_its_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    assert len(names) == len(set(names))
    listed = subprocess.run(
        ["git", "ls-files", "distlib", "data"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    committed = {name.replace("data/", "distlib/data/", 1) if name[:5] == "data/" else name
                 for name in listed.stdout.split()}  # fmt: skip
    assert committed <= set(names), "questions, styles and counterexamples too"
    assert not [name for name in names if name.startswith("data/")], "no folder of that name beside other packages"
