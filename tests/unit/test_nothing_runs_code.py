"""Nothing in the package makes code of what it reads: looked for in every syntax tree."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import streamline

PACKAGE = Path(streamline.__file__).parent
MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    "os.popen",
    "os.system",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "yaml.load",
    "yaml.unsafe_load",
}
METHODS = {"recv_pyobj", "send_pyobj"}


def dangers(text: str) -> Iterator[str]:
    """What could run code that comes from outside."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from MODULES.intersection(one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from MODULES.intersection([node.module.partition(".")[0]])
        elif isinstance(node, ast.Call):
            yield from _in_call(node)


def _in_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    given = {one.arg: ast.unparse(one.value) for one in call.keywords}
    if name in BUILTINS | CALLS or name.rpartition(".")[2] in METHODS:
        yield name
    for option in ("shell", "allow_pickle"):
        if given.get(option, "False") != "False":
            yield f"{option}={given[option]}"
    if name == "torch.load" and given.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    if name == "YAML" and given.get("typ") != "'safe'":
        yield "YAML of another type than safe"


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "import os, marshal",
        "from pickle import loads",
        "def f():\n    import dill",
        "eval(text)",
        "exec(text)",
        "__import__(name)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "subprocess.Popen(text, shell=wanted)",
        "np.load(file, allow_pickle=True)",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "yaml.load(text)",
        "YAML(typ='unsafe')",
        "socket.recv_pyobj()",
    ],
)
def test_the_search_finds(text: str) -> None:
    assert list(dangers(text))


def test_nothing_in_the_package_runs_what_it_reads() -> None:
    modules = list(PACKAGE.rglob("*.py"))
    found = {module.name: list(dangers(module.read_text())) for module in modules}
    assert len(modules) > 100
    assert {name: what for name, what in found.items() if what} == {}
