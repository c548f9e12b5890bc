"""Methods and schedules as JSON: the names of their classes and their fields."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from gradopt._core.config import Config, class_named, is_ours
from gradopt._results.storage import as_json
from gradopt.schedules import FunctionOfCount, Schedule

_OWN = "own "  # prefix for a user's class, whose name may equal that of a class of the package


def require_savable(method: Config) -> None:
    """Raise a TypeError if this method can't be saved."""
    json.dumps(described(method), default=as_json)


def described(config: Any) -> Any:
    """A method or schedule as plain lists, numbers and strings; raises a TypeError if it contains a function."""
    if isinstance(config, Config):
        if isinstance(config, FunctionOfCount):
            raise TypeError(f"a file can't hold {config}; use one of the schedules")
        values = {field.name: described(getattr(config, field.name)) for field in fields(config)}  # type: ignore[arg-type]
        name = type(config).__name__
        return {"class": name if is_ours(type(config)) else _OWN + name, **values}
    if isinstance(config, tuple):
        return [described(item) for item in config]
    if callable(config):
        raise TypeError(f"a file can't hold the function {config}; use one of the schedules")
    return config


def made(description: Any, base: type[Config]) -> Any:
    """The method or schedule from the output of `described`; its classes must be defined in this process.

    base : what it must be; within it, of the package's classes only schedules are made: a file can't call others
    """
    if isinstance(description, dict):
        values = {name: made(value, Schedule) for name, value in description.items() if name != "class"}
        return _class_named(description["class"], base)(**values)
    if isinstance(description, list):
        return tuple(made(item, Schedule) for item in description)
    return description


def _class_named(name: str, base: type[Config]) -> Any:
    bare = name.removeprefix(_OWN)
    # Old files do not distinguish a user's classes from those of the package.
    cls = class_named(bare, base, ours=True) if bare == name else None
    cls = cls or class_named(bare, Config if base is Schedule else base, ours=False)
    if cls is None:
        raise ValueError(f"its method uses the class {bare}, which is not defined here")
    return cls
