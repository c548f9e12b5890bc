"""The base of problems that most methods see as another one: an ordinary objective."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradopt.problems.base import Problem
from gradopt.problems.functions.by_address import ProblemByAddress


class ByObjective(Problem):
    """A problem whose value and gradient are those of `as_objective`."""

    Lowered = ProblemByAddress.Lowered

    def as_objective(self) -> Problem:
        """The objective, for the parameters that were checked last."""
        raise NotImplementedError

    def as_it_is(self) -> Problem:
        """A copy that keeps what its function takes from outside now."""
        kept = copy.copy(self)
        kept.__dict__["_kept"] = True
        kept.__dict__.pop("_spare", None)
        return kept

    def _look_outside(self) -> None:
        """Forget what was made with what the function took from outside."""
        if "_kept" not in self.__dict__:
            self.__dict__.pop("_made", None)
            self.__dict__.pop("_spare", None)  # the size of the data may have changed

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

    def lower(self, dtype: Any = np.float64) -> Any:
        return self.as_objective().lower(dtype)
