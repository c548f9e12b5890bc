"""The fits of one block, from their arrays to the arrays of their results."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.special
from numpy.typing import NDArray

from gradopt._compiler import COMPILING, TupleInMemory, flushing
from gradopt._core.aligned import aligned_copy, aligned_zeros
from gradopt._core.status import Status
from gradopt._loops import many_errors, many_fits
from gradopt._loops.types import RUNNING, StopTests
from gradopt._results.many_fits import ManyFits
from gradopt._tape.machine import run as machine
from gradopt._tape.tape import Tape
from gradopt.methods import LevenbergMarquardt
from gradopt.problems.fits.many_form import Layout
from gradopt.problems.functions.by_address import ProblemByAddress, PythonProblem
from gradopt.problems.functions.traced import machine_address

# The most numbers in the vectors of a first piece.
_VECTORS = 1 << 17

# Beyond these the machine's pieces no longer fit into the cache.
_MOST_LANES, _NUMBERS = 64, 4096


def lanes_for(m: int) -> int:
    """How many fits of m points stand side by side."""
    lanes = _MOST_LANES
    while lanes > 8 and lanes * m > _NUMBERS:
        lanes //= 2
    return lanes


class TapeProgram:
    """A tape as plain arrays, which can be sent to other processes.

    Parameters
    ----------
    tape : Tape
    dtype : dtype
    values : dict, optional
        As for `Tape.program`.
    """

    def __init__(self, tape: Tape, dtype: Any, values: Any = None) -> None:
        self._program, self._work = tape.program(dtype, values), tape.workspace(dtype, values)
        self.inputs, self.outputs, self.dtype = tape.paths.n, tape.gradient.size, np.dtype(dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_in_memory"}

    def lowered(self) -> Any:
        """The problem that loops take."""
        program = self._program
        if not COMPILING:
            return PythonProblem.Lowered(lambda out, work, x: machine.run(program, out, work, x), None)
        if "_in_memory" not in self.__dict__:
            self._in_memory = TupleInMemory(program)
        return ProblemByAddress.Lowered(machine_address(self.dtype), 0, self._in_memory.address)

    def arrays(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """New arrays to work in: workspace, outputs, inputs."""
        return aligned_copy(self._work), aligned_zeros(self.outputs, self.dtype), aligned_zeros(self.inputs, self.dtype)


class Block(NamedTuple):
    """The arrays of some fits. Those that are the same for all fits have the length 1 along the first axis."""

    y: NDArray[Any]  # (fits, m)
    start: NDArray[np.float64]  # (fits, n) of the free parameters
    held: NDArray[np.float64]  # (fits, h)
    low: NDArray[np.float64]  # (fits, n)
    high: NDArray[np.float64]  # (fits, n)
    sigma: NDArray[Any] | None  # (fits, m)
    predictors: tuple[NDArray[Any], ...]  # (fits, m) each, if the fits do not share them
    valid: NDArray[np.bool_] | None  # (m,) the points at which shared predictors are finite


class Fitted(NamedTuple):
    """The results of a block."""

    x: NDArray[Any]  # (fits, n) the free parameters
    inverse: NDArray[Any] | None  # (fits, n) the standard errors, or the covariance (fits, n, n)
    cost: NDArray[np.float64]  # (fits,)
    dof: NDArray[np.int32]  # (fits,)
    nit: NDArray[np.int32]  # (fits,)
    nfev: NDArray[np.int32]  # (fits,)
    status: NDArray[np.int8]  # (fits,)
    active_mask: NDArray[np.int8]  # (fits, n)


class ManyTask:
    """Base of the functions that fit blocks.

    Parameters
    ----------
    names : tuple of str
        The parameters.
    layout : Layout
    dtype : dtype
    covariance : {"stderr", "full", None}
        What of the errors is asked for.
    lanes : int
    """

    route: str  # as `ManyFits.route`

    def __init__(self, names: tuple[str, ...], layout: Layout, dtype: Any, covariance: str | None, lanes: int) -> None:
        self.names, self.layout, self._dtype, self._lanes = names, layout, dtype, lanes
        self._covariance = covariance

    @property
    def first_piece(self) -> int:
        """How many fits to begin with, of which vectors take little memory."""
        return max(self._lanes, min(64 * self._lanes, _VECTORS // self.layout.size) // self._lanes * self._lanes)

    def no_fits(self, shape: tuple[int, ...]) -> ManyFits:
        """The result of fits, of which none has been run; shape : the axes that count them."""
        return ManyFits.empty(shape, self.names, self.layout.free, self._dtype, self._covariance, self.route)

    def __call__(self, block: Block) -> Fitted:
        """Fit all."""
        raise NotImplementedError


class FitTask(ManyTask):
    """A function that fits blocks side by side; it can be sent to other processes.

    Parameters
    ----------
    names, layout, dtype, covariance, lanes
        As for `ManyTask`.
    fits, errors : TapeProgram or None
        The tapes of the fits, and of their errors; None if no fit can be run, and if no errors are asked for.
    tests : StopTests
    max_iter, polish : int
    loss : "linear", "poisson" or another
    absolute : bool
        Whether the standard deviations of the data are known.
    """

    route = "lanes"

    def __init__(
        self,
        names: tuple[str, ...],
        layout: Layout,
        dtype: Any,
        covariance: str | None,
        lanes: int,
        fits: TapeProgram | None,
        errors: TapeProgram | None,
        tests: StopTests,
        max_iter: int,
        polish: int,
        loss: str,
        absolute: bool,
    ) -> None:
        super().__init__(names, layout, dtype, covariance, lanes)
        self._fits, self._errors = fits, errors
        self._tests, self._max_iter, self._loss = tests, max_iter, loss
        self._method = LevenbergMarquardt.Lowered(1.0, polish, False)
        self._absolute = absolute

    def __call__(self, block: Block) -> Fitted:
        """Fit all."""
        inputs, counts, status = vectors(self.layout, block, self._dtype, self._loss == "poisson")
        n, dtype, fits = len(self.layout.free), self._dtype, len(inputs)
        low, high = (np.broadcast_to(side, (fits, n)).astype(dtype) for side in (block.low, block.high))
        x, cost = inputs[:, :n].copy(), np.full(fits, np.nan)
        nit, nfev = np.zeros(fits, np.int32), np.zeros(fits, np.int32)
        rows = many_fits.Fits(inputs, low, high, x, cost, status, nit, nfev)
        arguments = self._method, self._tests, self._max_iter, rows, many_fits.new_lanes(self._lanes, n, dtype)
        if self._fits is not None:
            with np.errstate(all="ignore"):
                flushing(many_fits.fit_many, (self._fits.lowered(), *arguments, *self._fits.arrays()))
        x[status == Status.NO_DATA] = np.nan
        mask = np.where(x <= low, -1, np.where(x >= high, 1, 0)).astype(np.int8)
        if self._loss == "poisson":
            cost += self._constants(inputs)
        dof = (counts - n).astype(np.int32)
        inverse = None
        if self._errors is not None:
            inputs[:, :n] = x
            inverse = self._inverse(self._errors, inputs, mask, dof, 2.0 * cost)
            inverse[(status == Status.NO_DATA) | (status == Status.NON_FINITE)] = np.nan
        return Fitted(x, inverse, cost, dof, nit, nfev, status, mask)

    def _constants(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """What the objective of counts lacks: the sum of log y!, minus 1 for each point that is not valid."""
        at = len(self.layout.free) + len(self.layout.held)
        m = self.layout.m
        logs = scipy.special.gammaln(np.maximum(inputs[:, at : at + m], 0.0).astype(np.float64) + 1.0)
        total: NDArray[np.float64] = logs.sum(axis=1)
        if self.layout.masked:
            total -= np.sum(inputs[:, at + m : at + 2 * m] == 0.0, axis=1)
        return total

    def _inverse(
        self, errors: TapeProgram, inputs: NDArray[Any], mask: NDArray[Any], dof: NDArray[Any], rss: NDArray[Any]
    ) -> NDArray[Any]:
        """Standard errors or covariances."""
        fits, n = mask.shape
        free = (mask == 0).astype(errors.dtype)
        found = many_errors.Covariances(np.zeros((fits, 2)), np.zeros((fits, n * n)), np.zeros((fits, n), bool))
        space = many_errors.new_space(self._lanes, n, errors.dtype)
        arguments = errors.lowered(), inputs, free, self.layout.m, found, space, *errors.arrays()
        with np.errstate(all="ignore"):
            flushing(many_errors.covariances, arguments)
            if self._loss == "poisson" or (self._loss == "linear" and self._absolute):
                variance = np.ones(fits)
            else:
                mean = 1.0 if self._loss == "linear" else found.sums[:, 1] / (dof + n)
                squares = rss if self._loss == "linear" else found.sums[:, 0]
                variance = np.where((dof > 0) & (mean > 0.0), squares / dof / mean**2, np.inf)
            inverse = found.inverse.reshape(fits, n, n) * variance[:, None, None]
            unknown, held = found.undetermined & (mask == 0), mask != 0
            if self._covariance != "full":
                stderr = np.sqrt(np.diagonal(inverse, axis1=1, axis2=2))
                stderr[unknown], stderr[held] = np.inf, np.nan
                return stderr.astype(errors.dtype)
        inverse[unknown[:, :, None] | unknown[:, None, :]] = np.inf
        inverse[held[:, :, None] | held[:, None, :]] = np.nan
        return inverse.astype(errors.dtype)


def vectors(
    layout: Layout, block: Block, dtype: Any, counts: bool
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int8]]:
    """The vectors of the fits; the numbers of their valid points; the statuses, RUNNING for those that can be run.

    counts : whether the data are counts
    """
    fits, m = len(block.y), layout.m
    n, h = len(layout.free), len(layout.held)
    inputs = np.empty((fits, layout.size), dtype)
    inputs[:, :n], inputs[:, n : n + h] = block.start, block.held
    at = n + h
    arrays = [block.y, *([] if block.sigma is None else [block.sigma]), *block.predictors]
    valid = None
    if layout.masked:
        valid = np.ones((fits, m), bool) if block.valid is None else np.broadcast_to(block.valid, (fits, m)).copy()
        for array in arrays:
            valid &= np.isfinite(array)
    with np.errstate(over="ignore"):  # beyond float32 is infinite
        for i, array in enumerate(arrays):
            part = inputs[:, at : at + m]
            part[...] = array
            if valid is not None:
                is_predictor = i >= len(arrays) - len(block.predictors)
                fill = _first_valid(part, valid) if is_predictor else 1.0
                np.copyto(part, fill, where=~valid)
            at += m
            if valid is not None and i == (block.sigma is not None):
                inputs[:, at : at + m] = valid
                at += m
    valid_points = np.full(fits, m) if valid is None else valid.sum(axis=1)
    status = np.full(fits, RUNNING, np.int8)
    with np.errstate(invalid="ignore"):
        unfit = np.asarray(~((block.low <= block.start) & (block.start <= block.high)).all(axis=1))
    unfit = np.asarray(unfit | ~np.isfinite(inputs[:, : n + h]).all(axis=1))
    if block.sigma is not None:
        sigmas = inputs[:, n + h + m : n + h + 2 * m]
        np.copyto(sigmas, 0.0, where=sigmas < 0.0)
    if counts:
        unfit = np.asarray(unfit | (inputs[:, n + h : n + h + m] < 0.0).any(axis=1))
    status[unfit] = Status.NON_FINITE
    status[valid_points < n] = Status.NO_DATA
    lost: NDArray[np.bool_] = np.logical_not(np.isfinite(inputs[:, : n + h]).all(axis=1))
    inputs[lost, :n] = np.nan
    return inputs, valid_points, status


def _first_valid(array: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[Any]:
    """For each row its first valid number, (rows, 1); 0 where there is none."""
    first = np.take_along_axis(array, np.argmax(valid, axis=1)[:, None], axis=1)
    some: NDArray[Any] = np.any(valid, axis=1, keepdims=True)
    return np.where(some, first, 0.0)
