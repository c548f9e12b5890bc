"""What the package does where Numba lacks, or has changed, what is not public of it."""

import importlib
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

from gradopt._compiler import numba_api

from marks import compiled_only
from processes import python

NAMES = sorted({(module, name) for group in numba_api.NAMES.values() for module in group for name in group[module]})


def present_without(module, name):
    """The groups that are found where a module lacks a name."""
    found = importlib.import_module

    def without(called):
        namespace = vars(found(called))
        return SimpleNamespace(**{key: value for key, value in namespace.items() if (called, key) != (module, name)})

    spec = importlib.util.find_spec("gradopt._compiler.numba_api")
    fresh = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib, "import_module", without)
        spec.loader.exec_module(fresh)
    return fresh.PRESENT


LEFT = {case: present_without(*case) for case in NAMES} if not numba_api.PLAIN else {}


@pytest.mark.parametrize(("module", "name"), LEFT)
def test_a_missing_name_takes_its_groups_with_it(module, name):
    needing = {group for group, modules in numba_api.NAMES.items() if name in modules.get(module, ())}
    assert needing
    assert needing.isdisjoint(LEFT[module, name])


MINIMISE = """
import importlib
from types import SimpleNamespace
found = importlib.import_module

def without(module, package=None):
    if module != "{module}":
        return found(module, package)
    return SimpleNamespace(**{{key: value for key, value in vars(found(module)).items() if key != "{name}"}})

importlib.import_module = without
import gradopt
from gradopt._compiler import numba_api

result = gradopt.optimize(gradopt.problems.Rosenbrock(), method=gradopt.SGD(1e-3, momentum=0.9), max_iter=20_000)
print(result.success, *result.x.round(3), *numba_api.PRESENT)
"""


@pytest.mark.slow
@compiled_only
@pytest.mark.parametrize(("module", "name"), {left: case for case, left in LEFT.items()}.values())
def test_what_is_left_minimises(tmp_path, module, name):
    """Once for each set of groups that the missing names leave."""
    printed = python(MINIMISE.format(module=module, name=name), tmp_path)
    assert printed == ["True", "1.0", "1.0", *LEFT[module, name]]


def test_what_stands_for_the_lowered_parts_has_their_names():
    folder = Path(numba_api.__file__).parent
    lists = [(folder / side / "__init__.py").read_text().partition("__all__")[2] for side in ("lowered", "plain")]
    assert lists[0] == lists[1] != ""


def test_groups_that_need_another_one_fall_with_it():
    assert numba_api._group("cache", None) is None


@pytest.mark.skipif(numba_api.PLAIN, reason="there is no group then")
def test_a_group_that_behaves_otherwise_is_not_used():
    assert numba_api._group("lock") is not None
    assert numba_api._group("lock", works=lambda group: False) is None
    assert numba_api._group("lock", works=lambda group: group.global_compiler_lock.not_there) is None


def test_plain_numba_uses_no_group(tmp_path):
    code = "from gradopt._compiler import numba_api; print(len(numba_api.PRESENT))"
    assert python(code, tmp_path, GRADOPT_PLAIN_NUMBA="1") == ["0"]
    assert python(code, tmp_path, GRADOPT_PLAIN_NUMBA="0") == [str(len(numba_api.NAMES))]
