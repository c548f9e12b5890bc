"""The order of the folders: an import goes to a folder further down this list, or stays in its folder."""

import ast
from pathlib import Path

import pytest

import gradopt

PACKAGE = Path(gradopt.__file__).parent

# From the top to the bottom. Names without an underscore are public.
ORDER = [
    "__main__",
    "__init__",
    "extend",
    "estimators",
    "integrations",
    "plot",
    "_api",
    "_run",
    "_results",
    "methods",
    "_loops",
    "problems",
    "_network",
    "_losses",
    "schedules",
    "_tape",
    "_numerics",
    "_core",
    "_compiler",
]
NEVER = {("methods", "problems"), ("_loops", "problems"), ("_loops", "methods")}

# The same within larger folders.
INNER_ORDER = {
    "_tape": ["__init__", "residuals", "curvature", "tape", "names", "record", "lower", "graph", "machine"],
    "problems": ["__init__", "networks", "fits", "classics", "functions", "rows", "base", "second_differences"],
}
NEVER_INSIDE = {("_tape", "graph", "machine"), ("_tape", "record", "lower")}


def name_of(path):
    name = path.relative_to(PACKAGE).with_suffix("").parts
    return name[:-1] if len(name) > 1 and name[-1] == "__init__" else name


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(name):
    """The modules of the package that a module imports, wherever in it, as tuples of names."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("gradopt.") for alias in node.names), "from gradopt... import, please"
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "gradopt":
            package = tuple(node.module.split(".")[1:])
            for alias in node.names:
                yield (*package, alias.name) if (*package, alias.name) in MODULES else package


def test_every_module_has_a_place_in_the_order():
    assert {name[0] for name in MODULES} == set(ORDER)
    assert sum(len(name) == 1 and MODULES[name].name != "__init__.py" for name in MODULES) <= 5  # and __init__.py
    for folder, order in INNER_ORDER.items():
        assert {name[1] for name in MODULES if name[0] == folder and len(name) > 1} <= set(order)


@pytest.mark.parametrize("name", MODULES, ids=".".join)
def test_imports_go_down(name):
    for other in imports(name):
        assert ORDER.index(other[0]) >= ORDER.index(name[0]), other
        assert (name[0], other[0]) not in NEVER
        if name[0] == other[0] and name[0] in INNER_ORDER and len(name) > 1:
            assert len(other) > 1, "a part of a folder imports from the other parts, not from the folder as a whole"
            order = INNER_ORDER[name[0]]
            assert order.index(other[1]) >= order.index(name[1]), other
            assert (name[0], name[1], other[1]) not in NEVER_INSIDE


def test_there_is_no_circle():
    done = set()

    def visit(name, trail):
        assert name not in trail, " -> ".join(".".join(step) for step in (*trail, name))
        if name not in done:
            for other in imports(name):
                if other and other != name:
                    visit(other, (*trail, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())
