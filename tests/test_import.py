"""``import distlib`` is light, and the wrong ``distlib`` is named at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
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


def test_the_wheel_is_installed_into_an_empty_environment_and_imported(tmp_path: Path) -> None:
    """Without ``-e``: all that the package needs is in the wheel, the guard at both places."""
    quiet = ["-q", "--disable-pip-version-check", "--no-deps"]
    build = [sys.executable, "-m", "pip", "wheel", *quiet, "--no-build-isolation", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "empty", with_pip=False)
    own = tmp_path / "empty" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(own), "install", *quiet, "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    code = "import distlib, distlib.raft.raft, distributed_systems_course_guard; print(distlib.__file__)"
    done = python(own, code, tmp_path)
    assert done.stderr == "" and done.stdout.startswith(f"{tmp_path}/empty/lib/python")
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    committed = subprocess.run(["git", "ls-files", "distlib"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(committed.stdout.split()) <= names, "every file of the package, questions and styles too"
