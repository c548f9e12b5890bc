"""The generics that problems, methods and schedules implement. The loops know nothing else about them.

Each is called with the lowered form of a configuration (`Config.lower`) and has one implementation per class, next to
the class. Kernels allocate nothing.
"""

from __future__ import annotations

from typing import Any

from gradopt._compiler import generic, kernel


@generic
def value_and_grad(problem: Any, grad: Any, work: Any, x: Any) -> float:
    """Evaluate the objective f and its gradient at x.

    grad : float array (n,), C order, written
    work : what `Problem.workspace` allocated, written
    x : float array (n,), C order, read

    Returns f(x).
    """
    raise _missing("a problem", problem)


@generic
def batch_value_and_grad(problem: Any, grad: Any, work: Any, x: Any, rows: Any) -> float:
    """Evaluate the objective on some rows of the data, and its gradient, at x.

    grad : float array (n,), C order, written
    work : what `RowProblem.batch_workspace` allocated for at least m rows, written
    x : float array (n,), C order, read
    rows : int64 array (m,), C order, row numbers, read

    Returns the objective, in which all rows have equal weight; NaN if a row's data are not finite.
    """
    raise _missing("a problem with rows", problem)


@generic
def gauss_newton(problem: Any, moments: Any, work: Any, x: Any) -> float:
    """Evaluate a sum over points f at x, with its gradient and the matrix of Gauss and Newton.

    With r the residuals and J their derivatives, f = 1/2 r'r has the gradient J'r and the matrix J'J; other sums have
    weights in both.

    moments : float array (n + n (n + 1) / 2 + 1,), C order, written: the gradient; the matrix row by row, each up to
        its diagonal; and the sum of the weighted squares of the residuals, 2 f for f = 1/2 r'r
    work : what the workspace of the problem's `by_residuals` allocated, written
    x : float array (n,), C order, read

    Returns f(x).
    """
    raise _missing("a sum of squares", problem)


@generic
def hessian(problem: Any, matrix: Any, work: Any, x: Any) -> None:
    """Evaluate the second derivatives of the objective at x.

    matrix : float array (n, n), C order, written; symmetric, but for rounding
    work : what `Problem.workspace` allocated, written
    x : float array (n,), C order, read
    """
    raise _missing("a problem with second derivatives", problem)


@generic
def hessian_product(problem: Any, out: Any, work: Any, x: Any, v: Any) -> None:
    """Evaluate the product of the second derivatives at x with a vector v.

    out : float array (n,), C order, written
    work : what `Problem.workspace` allocated, written
    x, v : float arrays (n,), C order, read
    """
    raise _missing("a problem with second derivatives", problem)


def _nothing_to_note(problem, work, x):
    pass


@generic(default=_nothing_to_note)
def note_iterate(problem: Any, work: Any, x: Any) -> None:
    """Show a problem the start of a run, or the iterate that an update led to.

    work : what `Problem.workspace` allocated, written
    x : float array (n,), C order, read
    """


def _without_branches(problem, work):
    return False


@generic(default=_without_branches)
def unknown_path(problem: Any, work: Any) -> bool:
    """Whether a trace came to a branch that it has not seen, so that a run with this workspace went wrong.

    work : what `Problem.workspace` allocated, read
    """
    return False


@generic
def update(method: Any, slots: Any, x: Any, grad: Any, rate: float, k: int) -> None:
    """Make update number k, counted from 0, of a first-order method.

    slots : tuple of float arrays (n,), one per name in `Method.slots`, written in place; zeros before k = 0
    x : float array (n,), C order, written in place
    grad : float array (n,), C order, read
    rate : the learning rate of this update
    """
    raise _missing("a method", method)


@generic
def new_slots(method: Any, x: Any) -> Any:
    """The slots of a line-search method before the first update: a tuple of new arrays, the direction (n,) first.

    x : float array (n,); only its length and dtype matter
    """
    raise _missing("a line-search method", method)


@generic
def direction(method: Any, slots: Any, box: Any, x: Any, grad: Any, restart: bool) -> None:
    """Choose the next direction of a line-search method, and write it to slots[0].

    slots : tuple of arrays, what `new_slots` returned, written
    box : Box, its `free` is written, or None
    x, grad : float arrays (n,), C order, the iterate and the gradient there, read
    restart : whether to clear the method's memory first
    """
    raise _missing("a line-search method", method)


@generic
def first_step(method: Any, slots: Any, slope: float) -> float:
    """The step to try first, in units of the direction.

    slots : tuple of arrays, read
    slope : the derivative of the objective along the direction, < 0
    """
    raise _missing("a line-search method", method)


@generic
def update_memory(method: Any, slots: Any, x: Any, grad: Any, last_x: Any, last_grad: Any) -> None:
    """Store in the slots what an update showed about the objective.

    slots : tuple of arrays, written
    x, grad : float arrays (n,), C order, the iterate and the gradient after the update, read
    last_x, last_grad : the same before the update
    """
    raise _missing("a line-search method", method)


@generic
def rate(schedule: Any, k: int) -> float:
    """The learning rate of update number k, counted from 0."""
    raise _missing("a schedule", schedule)


def _rate_by_count(schedule, state, k):
    return rate(schedule, k)


@generic(default=_rate_by_count)
def current_rate(schedule: Any, state: Any, k: int) -> float:
    """The learning rate of update number k of a run.

    state : float64 array (5,), the memory of a schedule that observes the objective; zeros before the first look; read
    """
    raise NotImplementedError  # there is a default


def _do_not_look(schedule, state, fun, k):
    pass


@generic(default=_do_not_look)
def observe(schedule: Any, state: Any, fun: float, k: int) -> None:
    """Show a schedule the objective after k updates or, in training runs, after an epoch (k = 0).

    state : float64 array (5,), written
    """


@kernel
def rates(schedule: Any, out: Any, k: Any) -> None:
    """Evaluate out[i] = rate(schedule, k[i]).

    out : float64 array (m,), written
    k : int64 array (m,), read
    """
    for i in range(k.size):
        out[i] = rate(schedule, k[i])


def _missing(noun: str, lowered: Any) -> TypeError:
    return TypeError(f"{type(lowered).__name__} is not registered as {noun}")
