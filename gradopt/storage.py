"""Results on disk: one .npz of plain arrays, without pickle."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradopt import validate
from gradopt.config import Config, class_named, is_ours
from gradopt.history import History
from gradopt.methods import Method
from gradopt.problems.traced import Traced
from gradopt.schedules import FunctionOfCount
from gradopt.status import Status
from gradopt.tape.node import TooLong

if TYPE_CHECKING:
    from gradopt.result import OptimizeResult

_FORMAT, _VERSION = "gradopt result", 1
_OWN = "own "  # before the name of a user's class, which may be that of one of the package


def save(path: Any, result: OptimizeResult) -> None:
    """Write a result so that `load` gives it back; an older file stays whole until the new one is.

    Parameters
    ----------
    path : str or path
        The file, as a rule with the suffix .npz; taken as it is.
    result : OptimizeResult
        What to write.

    Raises
    ------
    TypeError
        The method has a function of one's own as schedule, which a file can't hold.
    OSError
        The file can't be written.
    """
    from gradopt.result import State, TrainingState

    arrays: dict[str, NDArray[Any]] = {}
    facts: dict[str, Any] = {}
    for key, value in result.items():
        if key == "state":
            state = {field.name: getattr(value, field.name) for field in fields(State)}
            training = state.pop("training")
            facts["training"] = None
            if training is not None:
                facts["training"] = {field.name: getattr(training, field.name) for field in fields(TrainingState)}
            state["method"] = described(value.method)
            for i, slot in enumerate(state.pop("slots")):
                arrays[f"state.slots.{i}"] = slot
            _sort("state.", state, arrays, facts)
        elif key == "problem":
            facts["problem"], parts = value.described()
            arrays |= {f"problem.{name}": part for name, part in parts.items()}
        elif key == "history":
            facts["history"] = list(value)
            arrays |= {f"history.{name}": value[name] for name in value}
        else:
            _sort("", {key: value}, arrays, facts)
    facts |= {"format": _FORMAT, "version": _VERSION, "digest": _digest(arrays, facts)}
    arrays["facts"] = np.array(json.dumps(facts, default=_plain))
    _write(Path(path), arrays)


def load(path: Any) -> OptimizeResult:
    """Read what `OptimizeResult.save` or a `checkpoint` wrote.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    OptimizeResult
        With the same numbers; `state` goes on where the run stopped. A checkpoint holds what its callback saw, which is
        no ended run: it has no status, message or history.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, was changed, is of another version, or no result at all.

    Examples
    --------
    >>> import gradopt, os, tempfile
    >>> problem, path = gradopt.problems.Rosenbrock(), os.path.join(tempfile.mkdtemp(), "run.npz")
    >>> gradopt.optimize(problem, method=gradopt.SGD(1e-3), max_iter=10).save(path)
    >>> gradopt.optimize(problem, state=gradopt.load(path).state, max_iter=5).nit
    15
    """
    path = Path(path)
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(str(arrays.pop("facts")))
        known = facts["format"] == _FORMAT
    except FileNotFoundError:
        raise
    except Exception as error:  # of the zip format, of NumPy's, of JSON
        reason = "" if "pickle" in str(error) else f": {error}"  # what NumPy then advises is no help here
        raise ValueError(f"{path} is damaged, or no saved result{reason}") from None
    if not known or facts.get("version") != _VERSION:
        raise ValueError(f"{path} is a {facts['format']} of version {facts.get('version')}, not of version {_VERSION}")
    digest = facts.pop("digest", None)
    if digest != _digest(arrays, {name: facts[name] for name in facts if name not in ("format", "version")}):
        raise ValueError(f"{path} was changed after it was saved")

    try:
        return _result(facts, arrays)
    except (ValueError, KeyError, TypeError, IndexError, TooLong) as error:
        raise ValueError(f"{path} holds no result that could go on here: {error}") from None


def _result(facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> OptimizeResult:
    from gradopt.result import OptimizeResult, State, TrainingState

    values = {**facts, **arrays}
    result = OptimizeResult()
    for key in values:
        if "." not in key and key not in ("format", "version", "training", "history", "problem"):
            result[key] = values[key]
    if "status" in result:
        result["status"] = Status(result["status"])  # type: ignore[call-arg]
    if "history" in facts:
        result["history"] = History(**{name: arrays[f"history.{name}"] for name in facts["history"]})
    if "problem" in facts:
        parts = {name.removeprefix("problem."): arrays[name] for name in arrays if name.startswith("problem.")}
        result["problem"] = Traced.made(facts["problem"], parts)
    state = {name.removeprefix("state."): value for name, value in values.items() if name.startswith("state.")}
    slots = sum(name.startswith("slots.") for name in state)
    state["slots"] = tuple(state.pop(f"slots.{i}") for i in range(slots))
    state["method"] = made(state["method"], Method)
    state["training"] = None if facts["training"] is None else TrainingState(**facts["training"])
    result["state"] = State(**state)
    return result


def _sort(prefix: str, values: dict[str, Any], arrays: dict[str, Any], facts: dict[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            arrays[prefix + name] = value
        else:
            facts[prefix + name] = value


def _plain(value: Any) -> Any:
    """For json: numbers of NumPy, and the arrays in the state of some bit generators."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"can't save {validate.shown(value)}")


def _digest(arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=_plain).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _write(path: Path, arrays: dict[str, Any]) -> None:
    """First under another name in the same folder, then renamed: whoever reads sees the old file or the new one."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def require_savable(method: Method) -> None:
    """A TypeError if a file can't hold this method."""
    json.dumps(described(method), default=_plain)


def described(config: Any) -> Any:
    """A method or schedule as plain lists, numbers and strings; a TypeError if a function is in it."""
    if isinstance(config, Config):
        if isinstance(config, FunctionOfCount):
            raise TypeError(f"a file can't hold {config}; take one of the schedules")
        values = {field.name: described(getattr(config, field.name)) for field in fields(config)}  # type: ignore[arg-type]
        name = type(config).__name__
        return {"class": name if is_ours(type(config)) else _OWN + name, **values}
    if isinstance(config, tuple):
        return [described(item) for item in config]
    if callable(config):
        raise TypeError(f"a file can't hold the function {config}; take one of the schedules")
    return config


def made(description: Any, base: type[Config] = Config) -> Any:
    """The method or schedule that `described` took apart; only classes that are defined in this process."""
    if isinstance(description, dict):
        values = {name: made(value) for name, value in description.items() if name != "class"}
        return _class_named(description["class"], base)(**values)
    if isinstance(description, list):
        return tuple(made(item) for item in description)
    return description


def _class_named(name: str, base: type[Config]) -> Any:
    bare = name.removeprefix(_OWN)
    # Files of old do not tell a user's classes from those of the package.
    cls = class_named(bare, base, ours=bare == name) or class_named(bare, base, ours=False)
    if cls is None:
        raise ValueError(f"its method has a {bare}, which is not defined here")
    return cls
