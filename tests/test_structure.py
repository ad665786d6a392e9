"""The house keeps its shape: everything public is documented, and nothing imports in a circle."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import tomllib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import distlib
from distlib.core.node import Node

ROOT = Path(distlib.__file__).parent
MODULES = sorted(one.name for one in pkgutil.walk_packages(distlib.__path__, "distlib."))


def public_items(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Public classes and functions that a module defines, with the public methods and properties of the classes."""
    for name, item in vars(module).items():
        if name.startswith("_") or getattr(item, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(item):
            yield name, item
        elif inspect.isclass(item):
            yield name, item
            for own, value in vars(item).items():
                value = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
                if not own.startswith("_") and (callable(value) or isinstance(value, (property, cached_property))):
                    yield f"{name}.{own}", getattr(item, own)


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_is_documented_by_itself_or_by_its_base(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, name
    missing = [where for where, item in public_items(module) if not inspect.getdoc(item)]
    assert missing == [], f"{name}: no docstring, and none to inherit"


def imports_of(path: Path) -> set[str]:
    """The modules of the library that a file imports, under ``TYPE_CHECKING`` and inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("distlib"):
            for one in node.names:
                inner = f"{node.module}.{one.name}"
                found.add(inner if inner in MODULES else node.module)
    return found


def test_no_two_files_import_each_other_in_a_circle() -> None:
    """Also under TYPE_CHECKING: who needs another's types depends on it."""
    graph = {name: imports_of(ROOT.parent / f"{name.replace('.', '/')}.py") for name in MODULES
             if (ROOT.parent / f"{name.replace('.', '/')}.py").exists()}  # fmt: skip
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def looked_at(contract: str) -> set[str]:
    """The modules that the linter's contract of this beginning looks at."""
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (listed,) = [set(one["source_modules"]) for one in contracts if one["name"].startswith(contract)]
    return listed


def test_every_file_of_charts_is_held_to_see_no_simulator() -> None:
    listed = looked_at("A chart") - {"distlib.**.charts"}
    others = {name for name in MODULES if name.endswith("charts") and not name.endswith(".charts")}
    assert listed == others, "the linter looks at every charts.py, and at those that are named"


def test_every_file_with_a_protocols_class_is_held_to_see_core_and_replication_alone() -> None:
    listed = looked_at("A protocol")
    modules = {name: importlib.import_module(name) for name in MODULES}
    holding = {
        name for name, module in modules.items() for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Node) and item is not Node and item.__module__ == name
    }  # fmt: skip
    assert holding <= listed, "a protocol's file that the linter does not look at"
    assert listed <= set(MODULES)


BUILT_ON = {"distlib.transactions": ("distlib.paxos",)}
"""Protocols that run another topic's: Paxos Commit agrees on votes by Paxos."""


@pytest.mark.parametrize("name", sorted(looked_at("A protocol")))
def test_a_protocols_file_imports_nothing_but_core_replication_and_its_own_topics_protocols(name: str) -> None:
    """The linter forbids what it names; this allows what a protocol needs."""
    tree = ast.parse((ROOT.parent / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8"))
    plain = {one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names}
    assert plain == set(), "from … import …, so that one sees what is used"
    folder = name.rpartition(".")[0]
    topic = ".".join(name.split(".")[:2])  # a folder within a topic sees the topic's own protocols, too
    topics = (folder, topic, "distlib.replication", *BUILT_ON.get(topic, ()))
    allowed = {"__future__", "collections.abc", "dataclasses", "enum", "typing"} | {
        one for one in MODULES
        if one.startswith("distlib.core") or (one in looked_at("A protocol") and one.rpartition(".")[0] in topics)
        or one in (f"{folder}.invariants", f"{topic}.invariants", f"{folder}.multi_paxos_invariants")
    }  # fmt: skip
    found = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert found <= allowed | {"distlib.core"}
