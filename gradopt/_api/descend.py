"""The descent loop for compiled code of users."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import typeof_impl

from gradopt._compiler import COMPILING, CompiledHandle, contents, copied, flushing, kernel
from gradopt._core import validate
from gradopt._core.config import Config
from gradopt._core.protocol import value_and_grad
from gradopt._core.status import Status
from gradopt._loops.embedded import EmbeddedProblem, descended
from gradopt._loops.types import RUNNING
from gradopt._run.descent import IN_REGISTERS
from gradopt.methods import Method
from gradopt.problems import Problem

_MAX_ITER = int(Status.MAX_ITER)


def compiled(config: Problem | Method, dtype: Any = np.float64) -> CompiledHandle:
    """Prepare a problem or a method for `descend` inside your own `@njit` code.

    Parameters
    ----------
    config : Problem or Method
        A schedule in a method must be a pure function of the update count.
    dtype : dtype
        The dtype of the parameters x that `descend` will receive: float64 or float32.

    Returns
    -------
    CompiledHandle
        An argument for compiled functions. Another one of the same class with other numbers needs no new compilation.

    Raises
    ------
    TypeError, ValueError
        config is neither a problem nor a method, or is a problem that is a Python function; or dtype is another one.

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
    if isinstance(config, Method):
        config.require_kernels()
        return CompiledHandle(config.for_descend(), f"compiled({config})")
    if not isinstance(config, Problem):
        raise TypeError(f"config must be a problem of gradopt.problems or a method, got {validate.shown(config)}")
    config.require(value_and_grad)
    static_length = (0,) * config.n if COMPILING and config.inlined and config.n <= IN_REGISTERS else None
    real = np.dtype(dtype).type
    embedded = EmbeddedProblem(config.lower(real), static_length, config.workspace(real))
    return CompiledHandle(embedded, f"compiled({config})", keep=config)


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
        given to `compiled`; neither is checked.
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
        A `Status`: 0 (GTOL), 10 (MAX_ITER) or 30 (NON_FINITE); line-search methods test ftol as `optimize` does and can
        also return 1 (FTOL) or 20 (LINE_SEARCH).

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
    fun, nit, status = flushing(_descend, (contents(problem), contents(method), x, max_iter, gtol))
    return fun, nit, _MAX_ITER if status == RUNNING else status


@kernel
def _descend(problem, method, x, max_iter, gtol):
    return descended(method, problem, copied(problem.work), x, max_iter, gtol)
