"""Imports point down only: cli, then trainers and dataset builders, then rollouts, then tasks, then envs."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import hf_icrl
import hf_icrl.dataset_builders
import hf_icrl.model_cards
import hf_icrl.trainers

# Part -> the parts that it must know nothing of.
STRANGERS = {
    "envs": {"tasks", "sources", "histories", "models", "rollouts"},
    "tasks": {"sources", "histories", "models", "rollouts"},
    "sources": {"tasks", "histories", "models", "rollouts"},
    "histories": {"envs", "tasks", "sources", "models", "rollouts"},
    "rollouts": {"sources", "dataset_builders", "trainers", "model_cards"},
    "dataset_builders": {"models", "rollouts", "trainers"},
    "trainers": {"dataset_builders", "sources"},
}


def imports():
    """Part of the package -> the other parts that it imports, anywhere in its code."""
    graph = {}
    for package in (hf_icrl, hf_icrl.dataset_builders, hf_icrl.model_cards, hf_icrl.trainers):
        for path in Path(package.__file__).parent.rglob("*.py"):
            name = f"{package.__name__}.{path.relative_to(Path(package.__file__).parent).with_suffix('').as_posix()}"
            part = name.replace("/", ".").split(".")[1]
            found = graph.setdefault(part, set())
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                found |= {n.split(".")[1] for n in names if n.startswith("hf_icrl.")} - {part}
    return graph


def test_no_part_imports_what_stands_above_it():
    graph = imports()
    assert {"envs", "tasks", "histories", "trainers", "dataset_builders", "splits"} <= set(graph)
    assert {part: graph[part] & strangers for part, strangers in STRANGERS.items() if graph[part] & strangers} == {}
    assert graph["models"] == set(), "a checkpoint carries the code of models/, which must stand alone"


def test_no_parts_import_each_other():
    graph = imports()
    # Its functions run when transformers or gymnasium are imported, not when it is.
    del graph["registration"]
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("envs") < order.index("tasks") < order.index("rollouts") < order.index("cli")
