"""The base of problems that most methods see as another one: an ordinary objective."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._numerics.bounds import Box
from gradopt.problems.base import Curved, Problem
from gradopt.problems.functions.by_address import ProblemByAddress


class ByObjective(Problem):
    """A problem made of a user's function, whose value and gradient are those of an `objective`.

    Subclasses have the fields x0, the start or None, and args, and implement `made_for`.
    """

    Lowered = ProblemByAddress.Lowered

    args: Any

    def made_for(self, start: NDArray[Any]) -> Any:
        """What the problem is made of for parameters like start: an object with its number n and `objective`."""
        raise NotImplementedError

    def forget_traces(self) -> None:
        self.__dict__.pop("_made", None)
        self.__dict__.pop("_spare", None)

    def _check_start_and_args(self) -> None:
        object.__setattr__(self, "args", self.args if isinstance(self.args, tuple) else (self.args,))
        if self.x0 is not None:
            object.__setattr__(self, "x0", validate.array("x0", np.atleast_1d(self.x0), 1))

    @property
    def n(self) -> int:
        if self.x0 is None and "_made" not in self.__dict__:
            name = type(self).__name__
            raise TypeError(f"a {name} without x0 does not know its number of parameters; give x")
        return int(self.latest(None).n)

    def latest(self, x: NDArray[Any] | None) -> Any:
        """What was made for parameters like x, once for each number of them; x : None for what was made last."""
        latest: Any = self.__dict__.get("_made")
        if latest is None or (x is not None and latest.n != x.size):
            start: Any = self.x0 if x is None else x
            latest = self.__dict__["_made"] = self.made_for(start)
        return latest

    def as_objective(self) -> Problem:
        """The objective, for the parameters that were checked last."""
        objective: Problem = self.latest(None).objective
        return objective

    def by_curvature(self, x: NDArray[Any], box: Box | None = None, *, whole: bool = True) -> Curved:
        objective: Problem = self.latest(x).objective
        return objective.by_curvature(x, box, whole=whole)

    def checked(self, name: str, x: Any, *, finite: bool = True) -> NDArray[Any]:
        result = validate.array(name, np.atleast_1d(x), 1, finite=finite)
        if self.x0 is not None and result.size != self.x0.size:
            raise ValueError(f"{name} must have {self.x0.size} elements for {self}, got {result.size}")
        if "_kept" not in self.__dict__:  # what the function takes from outside is that of now
            self.__dict__.pop("_made", None)
            self.__dict__.pop("_spare", None)  # the size of the data may have changed
        self.latest(result)
        return result

    def as_it_is(self) -> Problem:
        """A copy that keeps what its function takes from outside now."""
        kept = copy.copy(self)
        kept.__dict__["_kept"] = True
        kept.__dict__.pop("_spare", None)
        return kept

    @property
    def gradient_source(self) -> str | None:
        return self.as_objective().gradient_source

    @property
    def differentiates(self) -> bool:
        return self.as_objective().differentiates

    @property
    def interpreted(self) -> bool:
        return self.as_objective().interpreted

    @property
    def inlined(self) -> bool:
        return False

    @property
    def seconds(self) -> float:
        return self.as_objective().seconds

    @property
    def remark(self) -> str | None:
        return self.as_objective().remark

    def by_values(self) -> Problem:
        return self.as_objective().by_values()

    def calls(self, evaluations: int, work: Any) -> tuple[int, int]:
        return self.as_objective().calls(evaluations, work)

    def workspace(self, dtype: Any) -> Any:
        return self.as_objective().workspace(dtype)

    def memory(self, work: Any) -> NDArray[Any]:
        return self.as_objective().memory(work)

    def remember(self, work: Any, memory: NDArray[Any]) -> None:
        self.as_objective().remember(work, memory)

    def evaluations_until_compiling(self, work: Any) -> int | None:
        return self.as_objective().evaluations_until_compiling(work)

    def compile(self, work: Any, x: NDArray[Any]) -> None:
        self.as_objective().compile(work, x)

    @property
    def may_branch(self) -> bool:
        return self.as_objective().may_branch

    @property
    def known_paths(self) -> int:
        return self.as_objective().known_paths

    def met_unknown_path(self, work: Any) -> bool:
        return self.as_objective().met_unknown_path(work)

    def learn_path(self, work: Any) -> None:
        self.as_objective().learn_path(work)

    def _renewed(self, work: Any) -> Any:
        return self.as_objective()._renewed(work)

    def lower(self, dtype: Any = np.float64) -> Any:
        return self.as_objective().lower(dtype)
