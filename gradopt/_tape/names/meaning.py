"""The meaning of each value that a traced function finds in its names, closures, defaults and objects.

A function is made again from its code, with a dictionary of global names that looks each of them up when it is first
used, and with other cells. What the function finds there is NumPy with traced arrays, Python's own functions with
traced numbers, the user's helpers made again in the same way, and objects whose methods are. Everything else is what it
was. The user's modules, classes and objects are not changed, so other threads see nothing of it.
"""

from __future__ import annotations

import builtins
import collections
import copy
import functools
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from numba.extending import is_jitted

from gradopt._tape.names import distributions
from gradopt._tape.names.lookups import Lookups, Path, is_simple
from gradopt._tape.names.modules import TYPES, Function, Module, has_names_of_its_own, is_numerical
from gradopt._tape.names.python import BUILTINS
from gradopt._tape.record.errors import is_users
from gradopt._tape.record.sparse import TracedSparse, is_sparse
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TracedArray

# The longest container in which functions and objects are looked for.
_LONGEST = 64


class Names(dict[str, Any]):
    """The global names of a function, each looked up when it is first used."""

    def __init__(self, names: dict[str, Any], meanings: Meanings, path: Path | None) -> None:
        super().__init__(__builtins__=meanings.builtins)
        self.original, self._meanings, self._path = names, meanings, path

    def __missing__(self, name: str) -> Any:
        path = None if self._path is None else (*self._path, ("global", name))
        if name not in self.original:
            if path is not None:
                self._meanings.lookups.add(path, "absent", None)
            raise KeyError(name)
        found = self.original[name]
        value = self[name] = self._meanings.constant(found) if path is None else self._meanings.of(found, path)
        return value


class Meanings:
    """What values mean within one trace.

    Parameters
    ----------
    trace : Trace
    lookups : Lookups, optional
        What an earlier trace of the function found.

    Attributes
    ----------
    lookups : Lookups
        Where each value was found, and the arrays among them, which are arguments of the graph.
    """

    def __init__(self, trace: Trace, lookups: Lookups | None = None) -> None:
        self._trace, trace.again, self.lookups = trace, self._again, lookups or Lookups()
        # id -> the value, which stays alive, its meaning, and where it was found first
        self._known: dict[int, tuple[Any, Any, Path | None]] = {}
        self._names: dict[int, Names] = {}
        self.builtins = {**vars(builtins), **BUILTINS, "__import__": self._import}

    def of(self, value: Any, path: Path | None = None) -> Any:
        """What a value means; path : where it was found, if it can be found there again."""
        if is_simple(value):
            self.lookups.add(path, "same", value)
            return value
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = (value, self._of(value, path), path)
        elif known[2] != path:
            self.lookups.add(path, "alias", known[2])
        return known[1]

    def forget(self) -> None:
        """Let go of all that was found, at the end of the trace."""
        self._known.clear()
        self._names.clear()

    def of_argument(self, value: Any) -> Any:
        """What an argument means that is no array."""
        return value if is_simple(value) else self.of(value)

    def constant(self, value: Any) -> Any:
        """What a value means that each call finds, such as a part of a library."""
        recording, self.lookups.recording = self.lookups.recording, False
        try:
            return self.of(value)
        finally:
            self.lookups.recording = recording

    def _of(self, value: Any, path: Path | None) -> Any:
        kind, add = type(value), self.lookups.add
        if kind is FunctionType and is_users(value.__code__):
            return self._function(value, path)
        if kind is np.ndarray:
            return self._array(value, path)
        if kind in (list, tuple):
            return self._container(value, enumerate(value), path, lambda items: kind(items))
        if kind is dict:
            return self._container(value, value.items(), path, lambda items: dict(zip(value, items, strict=True)))
        if kind in (set, collections.deque, collections.defaultdict, collections.OrderedDict, collections.Counter):
            add(None, "is", value)
            return copy.copy(value)
        if kind is functools.partial:
            return self._partial(value, path)
        if is_jitted(value):
            add(path, "is", value)
            return self.of(value.py_func, None if path is None else (*path, ("attribute", "py_func")))
        if isinstance(value, type):
            meaning = self._class(value)
            add(path if meaning is value or value in TYPES or meaning in BUILTINS.values() else None, "is", value)
            return meaning
        if kind is MethodType:
            add(None, "is", value)
            return self._method(value)
        if kind is ModuleType:
            add(path, "is", value)
            return self._module(value, path)
        if callable(value) and (is_numerical(value) or kind in (FunctionType, BuiltinFunctionType)):
            add(path, "is", value)
            own = BUILTINS.get(getattr(value, "__name__", ""))
            if own is not None and value is getattr(builtins, value.__name__, None):
                return own
            return Function(self._trace, value) if is_numerical(value) else value
        distribution = distributions.meaning_of(self._trace, value)
        if distribution is not None:
            add(path if distributions.is_constant(value) else None, "is", value)
            return distribution
        add(None, "is", value)
        return TracedSparse(self._trace, value) if is_sparse(value) else self._object(value)

    def _module(self, module: ModuleType, path: Path | None) -> Any:
        if has_names_of_its_own(module):
            return Module(module, lambda value, name: self.constant(value))
        if not is_users_module(module):
            return module
        return Module(module, lambda v, name: self.of(v, None if path is None else (*path, ("attribute", name))))

    def _array(self, array: Any, path: Path | None) -> Any:
        """An array from outside: real numbers are an argument of the graph, others are part of it."""
        if array.dtype.kind != "f":
            self.lookups.add(path, "equal", array)
            return array
        copy = self._trace.graph.copy_of(array)
        return TracedArray(self._trace, self._trace.graph.argument(*self.lookups.argument(path, array, copy)))

    def _container(self, value: Any, items: Any, path: Path | None, made: Any) -> Any:
        """The container with the meanings of what it holds; itself if they are all the same."""
        if len(value) > _LONGEST:
            self.lookups.add(None, "is", value)
            return copy.copy(value)
        kind = type(value)
        self.lookups.add(path, "length", len(value))
        found = [(item, self.of(item, None if path is None else (*path, ("item", key)))) for key, item in items]
        # What the function writes into a list or a dictionary is dropped, as with all that it assigns.
        same = kind is tuple and all([meaning is item for item, meaning in found])
        return value if same else made([meaning for _, meaning in found])

    def _partial(self, value: Any, path: Path | None) -> Any:
        def part(name: str, key: Any = None) -> Path | None:
            step = ("attribute", name)
            return None if path is None else (*path, step) if key is None else (*path, step, ("item", key))

        self.lookups.add(part("args"), "length", len(value.args))
        arguments = [self.of(item, part("args", i)) for i, item in enumerate(value.args)]
        keywords = {name: self.of(item, part("keywords", name)) for name, item in value.keywords.items()}
        return functools.partial(self.of(value.func, part("func")), *arguments, **keywords)

    # Functions.

    def _again(self, function: FunctionType) -> Any:
        """A function of a library with the names of the trace; what it finds is the same at each call."""
        known = self._known.get(id(function))
        if known is not None and isinstance(known[1], FunctionType):
            return known[1]
        recording, self.lookups.recording = self.lookups.recording, False
        try:
            return self._function(function, None)
        finally:
            self.lookups.recording = recording

    def _function(self, function: FunctionType, path: Path | None) -> FunctionType:
        """The function with the names of the trace."""

        def at(kind: str, key: Any) -> Path | None:
            return None if path is None else (*path, (kind, key))

        self.lookups.add(path, "code", function.__code__)
        names = self._names.get(id(function.__globals__))
        if names is None:
            names = self._names[id(function.__globals__)] = Names(function.__globals__, self, path)
        cells = tuple([CellType() for _ in function.__closure__ or ()])
        made = FunctionType(function.__code__, names, function.__name__, None, cells or None)
        self._known[id(function)] = (function, made, path)  # before its cells, which may hold the function itself
        made.__qualname__, made.__module__, made.__doc__ = function.__qualname__, function.__module__, function.__doc__
        made.__dict__.update(function.__dict__)
        if function.__defaults__:
            made.__defaults__ = tuple([self.of(v, at("default", i)) for i, v in enumerate(function.__defaults__)])
        if function.__kwdefaults__:
            made.__kwdefaults__ = {k: self.of(v, at("keyword", k)) for k, v in function.__kwdefaults__.items()}
        for i, (name, cell, filled) in enumerate(
            zip(function.__code__.co_freevars, function.__closure__ or (), cells, strict=True)
        ):
            try:
                value = cell.cell_contents
            except ValueError:  # empty
                continue
            filled.cell_contents = value if name == "__class__" else self.of(value, at("cell", i))
        return made

    def _method(self, method: MethodType) -> Any:
        owner = self.of(method.__self__)
        if isinstance(owner, distributions.Plain):
            return getattr(owner, method.__name__)
        if owner is method.__self__:
            function = self.of(method.__func__)
            return method if function is method.__func__ else MethodType(function, owner)
        return MethodType(self.of(method.__func__), owner)

    def _import(self, name: str, names: Any = None, local: Any = None, wanted: Any = (), level: int = 0) -> Any:
        if level and isinstance(names, Names):
            names = names.original
        return self.constant(builtins.__import__(name, names, None, wanted, level))

    # Classes and objects.

    def _class(self, original: type) -> Any:
        """A subclass of a user's class with its methods made again; other classes are themselves."""
        if original in TYPES:
            return TYPES[original]
        if original.__name__ in BUILTINS and original is getattr(builtins, original.__name__, None):
            return BUILTINS[original.__name__]
        functions = [_functions_in(base) for base in original.__mro__]
        if not any(functions):
            return original
        meanings: dict[str, Any] = {"__module__": original.__module__, "__qualname__": original.__qualname__}
        try:
            made = type(original)(original.__name__, (original,), {"__slots__": (), **meanings})
        except TypeError:  # its class does not allow it
            return original
        self._known[id(original)] = (original, made, None)
        for methods in reversed(functions):
            for name, method in methods.items():
                type.__setattr__(made, name, self._descriptor(method))
        type.__setattr__(made, "__getattribute__", self._attribute(original.__getattribute__))
        return made

    def _descriptor(self, value: Any) -> Any:
        if isinstance(value, (staticmethod, classmethod)):
            return type(value)(self.of(value.__func__))
        if isinstance(value, property):
            return property(*[None if f is None else self.of(f) for f in (value.fget, value.fset, value.fdel)])
        return self.of(value)

    def _attribute(self, plain: Any) -> Any:
        return lambda owner, name: self._of_attribute(plain(owner, name))

    def _of_attribute(self, value: Any) -> Any:
        # Methods are made again in the class; what the trace made is what it should be.
        return value if isinstance(value, MethodType) else self.of(value)

    def _object(self, value: Any) -> Any:
        """An object of a user's class, as one of the class made again; the original does not change with it."""
        kind = self.of(type(value))
        if kind is type(value) or not hasattr(value, "__dict__"):
            return value
        try:
            made = object.__new__(kind)
        except TypeError:
            return value
        self._known[id(made)] = (made, made, None)
        self._known[id(value)] = (value, made, None)
        object.__getattribute__(made, "__dict__").update(vars(value))
        return made


def is_users_module(module: ModuleType) -> bool:
    return is_users(getattr(module, "__file__", None))


def _functions_in(kind: type) -> dict[str, Any]:
    """A class's own functions, methods and properties, if they are the user's."""
    found = {}
    for name, value in vars(kind).items():
        plain: Any = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if isinstance(plain, FunctionType) and is_users(plain.__code__):
            found[name] = value
    return found
