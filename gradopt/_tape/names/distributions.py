"""The distributions of scipy.stats as a traced function sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.stats

from gradopt._tape.record.errors import refused
from gradopt._tape.record.numpy_functions.distributions import (
    CONTINUOUS,
    DISCRETE,
    Standard,
    evaluated,
    log_density_of_normal,
    parameters,
    standard_of,
)
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import array_of, depends_on_x, has_traced

_FROZEN_NORMAL = type(scipy.stats.multivariate_normal([0.0]))


def meaning_of(trace: Trace, value: Any) -> Any:
    """What a distribution, frozen or not, means in the trace; None for other values, and for unknown distributions."""
    if not type(value).__module__.startswith("scipy.stats"):
        return None
    if value is scipy.stats.multivariate_normal:
        return _Normal(trace, value)
    if type(value) is _FROZEN_NORMAL:
        return _FrozenNormal(trace, value, value.mean, value.cov)
    inner = getattr(value, "dist", None)
    if isinstance(inner, (scipy.stats.rv_continuous, scipy.stats.rv_discrete)):
        standard = standard_of(inner)
        return None if standard is None else _Frozen(_Distribution(trace, inner, standard), value.args, value.kwds)
    if isinstance(value, (scipy.stats.rv_continuous, scipy.stats.rv_discrete)):
        standard = standard_of(value)
        return None if standard is None else _Distribution(trace, value, standard)
    return None


def is_constant(value: Any) -> bool:
    """Whether a distribution is one of scipy's own, without parameters that someone may change."""
    return value is scipy.stats.multivariate_normal or isinstance(
        value, (scipy.stats.rv_continuous, scipy.stats.rv_discrete)
    )


class Plain:
    """One of scipy's distributions, whose other attributes are its own."""

    def __init__(self, trace: Trace, original: Any) -> None:
        self._trace, self._original = trace, original

    def __repr__(self) -> str:
        return repr(self._original)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._original, name)
        if not callable(found):
            return found

        def method(*arguments: Any, **keywords: Any) -> Any:
            if depends_on_x(arguments) or depends_on_x(keywords):
                remedy = "take a density or a distribution function, or another jac"
                raise refused(f"{name} of a distribution that depends on x", remedy)
            return found(*_numbers(self._trace, arguments), **dict(_numbers(self._trace, keywords)))

        return method


def _numbers(trace: Trace, values: Any) -> Any:
    """The values with arrays that the trace knows as NumPy's."""
    if isinstance(values, dict):
        return {name: _numbers(trace, value) for name, value in values.items()}
    if isinstance(values, (list, tuple)):
        return type(values)([_numbers(trace, value) for value in values])
    return trace.value_of(array_of(trace, values).node) if has_traced(values) else values


class _Distribution(Plain):
    """A distribution without its parameters."""

    def __init__(self, trace: Trace, original: Any, standard: Standard) -> None:
        super().__init__(trace, original)
        self._standard = standard
        for name in DISCRETE if standard.whole else CONTINUOUS:
            setattr(self, name, self._function(name))

    def _function(self, name: str) -> Any:
        plain = getattr(self._original, name)

        def function(x: Any, *arguments: Any, **keywords: Any) -> Any:
            if not has_traced((x, *arguments, *keywords.values())):
                return plain(x, *arguments, **keywords)
            given = parameters(self._standard, name, arguments, keywords)
            arrays = {key: array_of(self._trace, value) for key, value in given.items()}
            return evaluated(self._standard, name, array_of(self._trace, x), arrays)

        return function

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return _Frozen(self, arguments, keywords)

    freeze = __call__


class _Frozen(Plain):
    """A distribution with its parameters, some of which may be traced."""

    def __init__(self, distribution: _Distribution, arguments: Any, keywords: Any) -> None:
        super().__init__(distribution._trace, distribution._original)
        self.args, self.kwds = arguments, keywords
        for name in DISCRETE if distribution._standard.whole else CONTINUOUS:
            setattr(self, name, self._function(getattr(distribution, name)))

    def _function(self, function: Any) -> Any:
        return lambda x: function(x, *self.args, **self.kwds)

    def __getattr__(self, name: str) -> Any:
        method = super().__getattr__(name)
        return (lambda *more: method(*more, *self.args, **self.kwds)) if callable(method) else method


class _Normal(Plain):
    def logpdf(self, x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Any:
        if not has_traced((x, mean, cov)):
            return self._original.logpdf(x, mean, cov, allow_singular)
        if allow_singular:
            raise refused("multivariate_normal with allow_singular=True", "leave it out, or take another jac")
        x, cov = array_of(self._trace, x), array_of(self._trace, cov)
        size = cov.shape[0] if cov.ndim else np.size(mean) if mean is not None else 1
        return log_density_of_normal(x, np.zeros(size) if mean is None else array_of(self._trace, mean), cov)

    def pdf(self, *arguments: Any, **keywords: Any) -> Any:
        return np.exp(self.logpdf(*arguments, **keywords))

    def __call__(self, mean: Any = None, cov: Any = 1, allow_singular: bool = False, seed: Any = None) -> Any:
        if allow_singular or not has_traced((mean, cov)):
            return meaning_of(self._trace, self._original(mean, cov, allow_singular, seed))
        return _FrozenNormal(self._trace, self._original, mean, cov)


class _FrozenNormal(Plain):
    def __init__(self, trace: Trace, original: Any, mean: Any, cov: Any) -> None:
        super().__init__(trace, original)
        self.mean, self.cov = mean, cov

    def logpdf(self, x: Any) -> Any:
        return _Normal(self._trace, scipy.stats.multivariate_normal).logpdf(x, self.mean, self.cov)

    def pdf(self, x: Any) -> Any:
        return np.exp(self.logpdf(x))
