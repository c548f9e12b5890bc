"""The descent loop for compiled code of users."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import TypingError, types
from numba.extending import overload, typeof_impl

from gradopt._api.bounds import box_of
from gradopt._api.request import forbid
from gradopt._compiler import COMPILING, CompiledHandle, contents, flushing, kernel
from gradopt._core import validate
from gradopt._core.config import Config
from gradopt._core.protocol import value_and_grad
from gradopt._core.status import Status
from gradopt._loops.embedded import EMBEDDED, EmbeddedProblem, Fitting, Following, Form, descended
from gradopt._loops.types import RUNNING
from gradopt._numerics.bounds import inside
from gradopt._run.descent import IN_REGISTERS
from gradopt.methods import Method, TrustRegion
from gradopt.problems import Problem
from gradopt.problems.functions.python_residuals import PythonResiduals

_DENSE = TrustRegion().dense  # up to this number of parameters, whole Hessians are prepared

_MAX_ITER = int(Status.MAX_ITER)


def compiled(
    config: Problem | Method,
    dtype: Any = np.float64,
    *,
    bounds: Any = None,
    ftol: float | None = None,
    xtol: float | None = None,
) -> CompiledHandle:
    """Prepare a problem or a method for `descend` inside your own `@njit` code.

    Parameters
    ----------
    config : Problem or Method
        A schedule in a method must be a pure function of the update count.
    dtype : dtype
        The dtype of the parameters x that `descend` will receive: float64 or float32.
    bounds : sequence of (low, high), or scipy.optimize.Bounds
        For a problem: a pair for each parameter, as for `optimize`. A start outside is moved inside.
    ftol, xtol : float, optional
        For a method: tolerances, as for `optimize` and with its defaults.

    Returns
    -------
    CompiledHandle
        An argument for compiled functions. Another one of the same class with other numbers needs no new compilation.

    Raises
    ------
    TypeError, ValueError
        config is neither a problem nor a method, or is a problem that is a Python function; dtype is another one;
        bounds are given for a method, or tolerances for a problem.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> problem, method = gradopt.compiled(gradopt.problems.Rosenbrock()), gradopt.compiled(gradopt.Adam(0.05))
    >>> x = np.array([-1.2, 1.0])
    >>> fun, nit, status = gradopt.descend(problem, method, x, 5000, 1e-8)  # as in compiled code
    >>> x.round(6), status
    (array([1., 1.]), 0)
    """
    try:
        known = np.dtype(dtype) in (np.float32, np.float64)
    except TypeError:
        known = False
    if not known:
        raise ValueError(f"dtype must be float32 or float64, got {validate.shown(dtype)}")
    real = np.dtype(dtype).type
    if isinstance(config, Method):
        forbid("a method; it belongs to the problem", bounds=bounds)
        config.require_kernels()
        tolerances = []
        for name, value in (("ftol", ftol), ("xtol", xtol)):
            default = config.loop.tolerance(getattr(config.loop, name), real) if value is None else value
            tolerances.append(-1.0 if default is None else validate.number(name, default, 0))
        return CompiledHandle(config.for_descend(*tolerances), f"compiled({config})")
    if not isinstance(config, Problem):
        raise TypeError(f"config must be a problem of gradopt.problems or a method, got {validate.shown(config)}")
    forbid("a problem; it belongs to the method", ftol=ftol, xtol=xtol)
    config.require(value_and_grad)
    n = config.known_n
    static_length = (0,) * n if COMPILING and config.inlined and 0 <= n <= IN_REGISTERS else None
    if bounds is not None and n < 0:
        raise ValueError(f"bounds need a problem that knows its number of parameters, got {config}")
    box = None if bounds is None else box_of(bounds, n, np.dtype(real))
    plain = Form(config.lower(real), config.workspace(real))
    like = np.empty(0, real)
    curved, residuals = None, None
    keep: tuple[Any, ...] = (config,)
    if n >= 0:
        x = np.zeros(n, real) if config.x0 is None else config.x0.astype(real)
        by_curvature, by_residuals = config.by_curvature(x, box, whole=n <= _DENSE), config.by_residuals(x)
        curved = Form(by_curvature.lower(real), by_curvature.workspace_for(x))
        if by_residuals is not None and not (COMPILING and isinstance(by_residuals, PythonResiduals)):
            residuals = Form(by_residuals.lower(real), by_residuals.workspace_for(x))
        keep = config, by_curvature, by_residuals
    embedded = EmbeddedProblem(plain, curved, residuals, static_length, box, _frozen(config), n, like)
    return CompiledHandle(embedded, f"compiled({config})", keep=keep)


def _frozen(problem: Problem) -> Any:
    """What first-order methods leave alone, as in `EmbeddedProblem`."""
    parts = problem.parts()
    if parts is None or not any(part.frozen for part in parts):
        return None
    return np.array([-1 if part.frozen else 0 for part in parts]), np.array([part.stop for part in parts])


_WANTED = {
    "problem": "problem, the first argument of descend, must be gradopt.compiled(a problem)",
    "method": "method, the second argument of descend, must be gradopt.compiled(a method)",
    "curved": "TrustRegion needs a problem that knows its number of parameters",
    "residuals": "LevenbergMarquardt needs a sum of squares that can be traced, such as problems.LeastSquares",
    "x": "x, the third argument of descend, must be a one-dimensional {} array in C order, as compiled was told",
}


def require_descendable(problem, method, x):
    """Raise a TypeError unless these are the arguments that `descend` takes."""
    if not isinstance(getattr(problem, "value", None), EmbeddedProblem):
        raise TypeError(f"{_WANTED['problem']}, got {validate.shown(problem)}")
    if not _is_embedded_method(type(getattr(method, "value", None))):
        raise TypeError(f"{_WANTED['method']}, got {validate.shown(method)}")
    for kind, form in _NEEDS.items():
        if isinstance(method.value, kind) and getattr(problem.value, form) is None:
            raise TypeError(f"{_WANTED[form]}, got {problem}")
    dtype = problem.value.like.dtype
    if not (isinstance(x, np.ndarray) and x.ndim == 1 and x.dtype == dtype and x.flags.c_contiguous):
        raise TypeError(f"{_WANTED['x'].format(dtype)}, got {validate.shown(x)}")


# What a method needs besides the plain form of a problem.
_NEEDS = {Following.Lowered: "curved", Fitting.Lowered: "residuals"}


def _is_embedded_method(kind: Any) -> bool:
    return kind in EMBEDDED


@overload(require_descendable)
def _require_descendable(problem, method, x):
    inner = [getattr(argument, "inner", None) for argument in (problem, method)]
    kinds = [getattr(kind, "instance_class", None) for kind in inner]
    if kinds[0] is not EmbeddedProblem:
        raise TypingError(f"{_WANTED['problem']}, got {problem}")
    if not _is_embedded_method(kinds[1]):
        raise TypingError(f"{_WANTED['method']}, got {method}")
    form = _NEEDS.get(kinds[1])
    if form is not None and isinstance(inner[0].types[EmbeddedProblem._fields.index(form)], types.NoneType):
        raise TypingError(f"{_WANTED[form]}, got {problem}")
    dtype = inner[0].types[-1].dtype
    if not (isinstance(x, types.Array) and (x.ndim, x.dtype, x.layout, x.mutable) == (1, dtype, "C", True)):
        raise TypingError(f"{_WANTED['x'].format(dtype)}, got {x}")
    return lambda problem, method, x: None


@typeof_impl.register(Config)
def _(config, context):
    raise TypeError(f"compiled code takes gradopt.compiled(...) of a problem or method, got {config}")


@kernel
def descend(problem, method, x, max_iter, gtol):
    """Minimise a problem by a method inside your own `@njit` code: the loop of `optimize` as a function.

    Parameters
    ----------
    problem : CompiledHandle
        The result of `compiled` for a problem.
    method : CompiledHandle
        The result of `compiled` for a method.
    x : float array (n,), C order
        The start; overwritten by the last finite iterate. Its length must be that of the problem, and its dtype the one
        given to `compiled`.
    max_iter : int
        Maximum number of updates, >= 0.
    gtol : float
        Stop when the largest absolute element of the gradient is <= gtol; never, if gtol is negative.

    Returns
    -------
    fun : float
        The objective at x.
    nit : int
        The number of updates made.
    status : int
        A `Status`: 0 (GTOL), 10 (MAX_ITER) or 30 (NON_FINITE); methods other than first-order ones test ftol and xtol
        as `optimize` does and can also return 1 (FTOL), 2 (XTOL) or 20 (LINE_SEARCH). 21 (UNKNOWN_PATH) where a traced
        function goes a way at one of its branches that its trace has not seen: x is then not to be used;
        `trace(..., paths_from=...)` makes ways known.

    Raises
    ------
    TypeError
        An argument is another one; in compiled code it is a numba.TypingError, when the code is compiled.
    ValueError
        x has another length; in the threads of a `prange`, Numba ignores it, and x becomes NaN.

    Notes
    -----
    Allocates a few arrays of the length of x. Uses one thread, and can be called from several threads at once, such as
    those of `prange`, with the same problem and method.

    Examples
    --------
    >>> import gradopt, numpy as np
    >>> from numba import njit, prange
    >>> problem = gradopt.compiled(gradopt.problems.Rosenbrock())
    >>> method = gradopt.compiled(gradopt.SGD(1e-3, momentum=0.9))
    >>> @njit(parallel=True)
    ... def minima(problem, method, starts, values):
    ...     for i in prange(len(starts)):
    ...         values[i], nit, status = gradopt.descend(problem, method, starts[i], 10_000, 1e-8)
    >>> starts, values = np.array([[-1.2, 1.0], [0.0, 0.0]]), np.empty(2)
    >>> minima(problem, method, starts, values)
    >>> starts.round(6), values.max() < 1e-12
    (array([[1., 1.],
           [1., 1.]]), np.True_)
    """
    require_descendable(problem, method, x)
    if 0 <= contents(problem).n != x.size:
        for i in range(x.size):  # assigning a slice takes seconds to compile
            x[i] = np.nan
        raise ValueError("x must have as many elements as the problem has parameters")
    fun, nit, _, status = flushing(_descend, (contents(problem), contents(method), x, max_iter, gtol))
    return fun, nit, _MAX_ITER if status == RUNNING else status


@kernel
def _descend(problem, method, x, max_iter, gtol):
    if problem.box is not None:
        for j in range(x.size):
            x[j] = inside(problem.box, j, x[j])
    return descended(method, problem, x, max_iter, gtol)
