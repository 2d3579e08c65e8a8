"""The house: who may import whom, and who stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tfpipe"
FLOORS = ("base", "data", "training", "comparison", "roof")
HEAVY = {
    "tfpipe.data.streaming.pipeline",
    "tfpipe.data.checks.tf_decode",
    "tfpipe.training.activity",
    "tfpipe.training.bare_steps",
    "tfpipe.training.building",
    "tfpipe.training.derivatives",
    "tfpipe.training.determinism",
    "tfpipe.training.devices",
    "tfpipe.training.diagnostics",
    "tfpipe.training.evaluations",
    "tfpipe.training.export",
    "tfpipe.training.keras2",
    "tfpipe.training.models",
    "tfpipe.training.norms",
    "tfpipe.training.predicting",
    "tfpipe.training.provenance",
    "tfpipe.training.range_test",
    "tfpipe.training.run",
    "tfpipe.training.state",
    "tfpipe.training.stopping",
    "tfpipe.training.updates",
    "tfpipe.training.writer",
}


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def floor_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else "roof"


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name in MODULES}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_its_own_floor_and_those_below(module):
    if module == "tfpipe":
        return
    allowed = FLOORS[: FLOORS.index(floor_of(module)) + 1]
    for name in imports_of(MODULES[module]) - {"tfpipe"}:
        assert floor_of(name) in allowed, f"{module} imports {name}"


def test_nobody_imports_a_binary():
    binaries = {
        name
        for name, path in MODULES.items()
        if "cli.run_binary(" in path.read_text(encoding="utf-8")
    }
    assert "tfpipe.train" in binaries
    for module, path in MODULES.items():
        assert not imports_of(path) & binaries, module


def test_light_modules_load_no_tensorflow_and_no_keras():
    light = [name for name in MODULES if name not in HEAVY]
    code = (
        "import importlib, sys\n"
        f"for name in {light!r}:\n"
        "    importlib.import_module(name)\n"
        "    heavy = {'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules)\n"
        "    assert not heavy, (name, heavy)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)


@pytest.mark.parametrize("module", sorted(HEAVY))
def test_the_list_of_heavy_modules_is_true(module):
    text = MODULES[module].read_text(encoding="utf-8")
    assert "import tensorflow" in text or "import keras" in text
