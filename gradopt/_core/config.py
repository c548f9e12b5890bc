"""The base of problems, methods, schedules and losses: an immutable description, and its lowered form for kernels."""

from __future__ import annotations

import functools
import itertools
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, TypeVar, dataclass_transform

import numpy as np

from gradopt._core.aligned import writable
from gradopt._core.words import explains_words

_C = TypeVar("_C", bound="Config")
# Attributes that can be made again; some are addresses, or machine code.
_DERIVED = {"_lowered_by_dtype", "_spare", "_alive"}

_serial = itertools.count(1)
_classes: dict[str, list[type[Config]]] = {}


class Config:
    """Base of the configuration classes, each decorated with `config`.

    `Lowered` is the NamedTuple in which a kernel receives the configuration; it has the same fields unless the class
    defines its own. Kernels are chosen by this class. Its values are run-time values: changing a hyper-parameter
    compiles nothing.
    """

    Lowered: ClassVar[Any]

    def __init_subclass__(cls) -> None:
        _classes.setdefault(cls.__name__, []).append(cls)

    def lower(self, dtype: Any = np.float64) -> Any:
        """The NamedTuple that kernels receive, with floating-point numbers and arrays in `dtype`; made once."""
        dtype = np.dtype(dtype)  # np.float32 and its dtype give the same lowered form
        key = dtype, self.known_paths
        known = self.__dict__.setdefault("_lowered_by_dtype", {})
        lowered = known.get(key)
        if lowered is None:
            lowered = known[key] = self._lower(dtype)
        return lowered

    @property
    def known_paths(self) -> int:
        """How many ways of a user's function are known; with another one, the lowered form is another one."""
        return 1

    def _lower(self, dtype: Any) -> Any:
        """Make that NamedTuple; subclasses override this if their kernels need other fields."""
        return self._lower_with(dtype)

    def _lower_with(self, dtype: Any, **instead: Any) -> Any:
        """Make that NamedTuple from the fields, some of them replaced by other values."""
        values = []
        for field in self.Lowered._fields:
            try:
                values.append(instead[field] if field in instead else lower_value(getattr(self, field), dtype))
            except TypeError as error:
                where = f"the field {field} of {type(self).__name__}"
                raise TypeError(f"{where} can't be passed to its kernel: {error}") from None
        return self.Lowered(*values)

    def require(self, generic: Any) -> None:
        """Raise a TypeError if no kernel of the generic function is registered for this class."""
        if self._lowered_class not in generic.registry:
            name = type(self).__name__
            raise TypeError(f"{name} has no kernel: register one with @{generic.__name__}.on({name})")

    @property
    def _lowered_class(self) -> Any:
        return getattr(type(self), "Lowered", None)

    def __eq__(self, other: object) -> bool:
        """Whether the other has the same class and equal fields; arrays are compared element by element."""
        if type(other) is not type(self):
            return NotImplemented
        if not is_dataclass(self):
            return self is other
        return all(_same(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))

    def __hash__(self) -> int:
        if not is_dataclass(self):
            return id(self)
        values = [getattr(self, field.name) for field in fields(self)]
        return hash((type(self), *(value.shape if isinstance(value, np.ndarray) else value for value in values)))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _DERIVED}

    def _check(self, field: str, check: Callable[..., Any], *arguments: Any, **keywords: Any) -> None:
        """Replace a field by the result of `check(field, value, ...)`; for use in `__post_init__`."""
        object.__setattr__(self, field, check(field, getattr(self, field), *arguments, **keywords))


@dataclass_transform(frozen_default=True)
def config(cls: type[_C]) -> type[_C]:
    """Make a `Config` a frozen dataclass, and make its NamedTuple unless the class defines its own."""
    cls = dataclass(frozen=True, eq=False)(cls)  # type: ignore[assignment]
    cls.__init__ = explains_words(_with_read_only_arrays(cls.__init__), cls.__name__)  # type: ignore[method-assign]
    if "Lowered" not in cls.__dict__:
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        cls.Lowered = namedtuple(cls.__name__, names, module=cls.__module__)  # type: ignore[misc]
        # Pickle, and with it the disk cache of compiled code, looks for the class under this name.
        cls.Lowered.__qualname__ = f"{cls.__qualname__}.Lowered"
    if not is_ours(cls.Lowered):
        # Numba recognises the type by this name and the fields, so each class, even one defined again, needs its own.
        cls.Lowered.__name__ += f"_{next(_serial)}"
    return cls


def _with_read_only_arrays(init: Callable[..., None]) -> Callable[..., None]:
    """Make the array fields read-only at the end of a constructor: lowered forms may be copies of them."""

    @functools.wraps(init)
    def wrapped(self: Any, *arguments: Any, **keywords: Any) -> None:
        init(self, *arguments, **keywords)
        for name, value in self.__dict__.items():
            if type(value) is np.ndarray and value.flags.writeable:
                view = value.view()
                view.flags.writeable = False
                object.__setattr__(self, name, view)

    return wrapped


def class_named(name: str, base: type[Config], ours: bool) -> type[Config] | None:
    """The class of that name, derived from `base`, from the package or a user; None if there is none.

    If there are several, as after a notebook cell was run again, it is the one defined last.
    """
    known = (cls for cls in reversed(_classes.get(name, [])) if issubclass(cls, base))
    return next((cls for cls in known if is_ours(cls) == ours), None)


def is_ours(cls: type) -> bool:
    """Whether a class belongs to the package, not to a user."""
    return cls.__module__.split(".")[0] == "gradopt"


def _same(one: Any, other: Any) -> bool:
    arrays = isinstance(one, np.ndarray) or isinstance(other, np.ndarray)
    return np.array_equal(one, other) if arrays else bool(one == other)


def lower_value(value: Any, dtype: Any) -> Any:
    """A field's value in the form that kernels receive; a TypeError if they can't take it."""
    if isinstance(value, Config):
        return value.lower(dtype)
    if isinstance(value, (float, np.floating)):
        return np.dtype(dtype).type(value)
    if value is None or isinstance(value, (int, complex, np.number, np.bool_)):
        return value
    array = value
    if isinstance(value, (tuple, list)):
        floating = any(isinstance(item, (float, np.floating)) for item in value)
        array = np.array(value, np.float64 if floating else None) if value else np.array(value, np.int64)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufc":
        allowed = "numbers, arrays, tuples and lists of numbers, None and other configurations"
        raise TypeError(f"it must be one of {allowed}, got {value!r}")
    return writable(np.ascontiguousarray(array, dtype) if array is value and array.dtype.kind == "f" else array)
