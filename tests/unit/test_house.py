"""The layout of the code: rooms that import in one direction, and files and functions that fit on a few screens."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

GATE: Final = Path(__file__).parents[2] / "gate"
MODULES: Final = {
    ".".join(("gate", *path.relative_to(GATE).with_suffix("").parts)): path
    for path in GATE.rglob("*.py")
    if path.stem != "__init__"
}
ROOMS: Final = {
    "model": {"text"},
    "text": set(),
    "net": {"model", "text"},
    "threadfix": {"net", "model", "text"},
    "judge": {"model", "options", "text", "threadfix"},
    "options": {"model", "net", "reporters", "text", "threadfix"},
    "reporters": {"judge", "model", "options", "net", "text", "threadfix"},
    "flow": {"judge", "model", "net", "options", "reporters", "text", "threadfix"},
    "sandbox": {"flow", "model", "options", "reporters", "threadfix"},
}
"""The rooms that a room may import from."""


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports(module: str) -> set[str]:
    """The modules that a module imports, also in functions and for the type checker."""
    names: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return (names & MODULES.keys()) - {module}


def room(module: str) -> str:
    return module.split(".")[1] if module.count(".") > 1 else ""


def test_no_import_goes_in_a_circle() -> None:
    assert len(list(TopologicalSorter({module: imports(module) for module in MODULES}).static_order())) == len(MODULES)


@pytest.mark.parametrize("name", ROOMS)
def test_rooms_import_in_one_direction(name: str) -> None:
    arrows = {(module, other) for module in MODULES if room(module) == name for other in imports(module)}
    assert [arrow for arrow in sorted(arrows) if room(arrow[1]) not in {"", name, *ROOMS[name]}] == []


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_are_short(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 420
    functions = [node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef)]
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 64]
    assert long == []


def test_the_gate_stays_small_and_each_room_is_known() -> None:
    files = [path for ending in ("*.py", "*.j2", "*.css") for path in GATE.rglob(ending)]
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= 15_000
    assert len(MODULES) <= 72
    assert {room(module) for module in MODULES} == {"", *ROOMS}
