"""The base classes of the methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradopt._core import validate
from gradopt._core.aligned import aligned_copy, aligned_zeros
from gradopt._core.config import Config
from gradopt._core.parts import Part
from gradopt._core.protocol import new_slots, rate, update
from gradopt._loops.embedded import Searching, Updating
from gradopt._loops.first_order import FIRST_ORDER
from gradopt._loops.line_search import LINE_SEARCH
from gradopt._loops.parts import Parts
from gradopt._loops.types import Loop
from gradopt.schedules import LearningRate, PerEpoch, Schedule, as_schedule


@dataclass
class MethodState:
    """The memory of a method between two calls of `FirstOrderMethod.step`.

    Attributes
    ----------
    nit : int
        The number of updates so far; the schedule depends on it.
    slots : tuple of ndarray (n,)
        One array for each name in the method's `slots`.
    """

    nit: int
    slots: tuple[NDArray[Any], ...]


class DryRunCall(NamedTuple):
    """A call of a kernel in Python, before it is compiled.

    Attributes
    ----------
    config : Config
        Its lowered form is the first argument.
    generic : generic function
        The kernel registered for the configuration is called.
    arguments : callable
        Returns a tuple of the other arguments.
    """

    config: Config
    generic: Any
    arguments: Callable[[], tuple[Any, ...]]


class Method(Config):
    """Base of the methods: a frozen configuration, with the names of the arrays it keeps between updates in `slots`.

    scipy.optimize.minimize also takes a method object as its `method`.
    """

    loop: ClassVar[Loop]
    slots: ClassVar[tuple[str, ...]] = ()

    # Runs the method for scipy.optimize.minimize(method=...): `integrations.scipy.minimize`, set by the package.
    minimizer: ClassVar[Callable[..., Any]]

    def __call__(self, fun: Any, x0: Any, *arguments: Any, **keywords: Any) -> Any:
        """Minimise fun; `scipy.optimize.minimize` calls this for a method that is not a string."""
        return type(self).minimizer(self, fun, x0, *arguments, **keywords)

    @property
    def by_epoch(self) -> bool:
        """Whether the learning rate is a function of the epoch."""
        return False

    def takes_whole_hessians(self, n: int) -> bool:
        """Whether a method that looks at second derivatives takes them whole, else as products, for n parameters."""
        return True

    @property
    def has_memory(self) -> bool:
        """Whether the slots must be restored when an update is rejected."""
        return False

    def new_slots(self, x: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """The memory before the first update: an array for each name in `slots`.

        x : float array (n,); only its length and dtype matter
        """
        raise NotImplementedError

    def fitting_slots(self, slots: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        """Copies of the slots of a method of this class, converted to the settings of this one if they differ."""
        return tuple(map(aligned_copy, slots))

    def parts(self, parts: tuple[Part, ...] | None) -> Parts | None:
        """The method's settings for the parts of the parameters; None if they are the same for all."""
        return None

    def facts(self, slots: tuple[NDArray[Any], ...]) -> dict[str, Any]:
        """What the result of a run says of the method's memory, by name."""
        return {}

    def require_kernels(self) -> None:
        """Raise a TypeError if a kernel that the loop needs is not registered for this class."""
        for generic in self.loop.requires:
            self.require(generic)

    def dry_run_calls(self, x: NDArray[Any]) -> Iterator[DryRunCall]:
        """Calls that test the kernels of a user's method, once per class."""
        return iter(())

    def for_descend(self, ftol: float = -1.0, xtol: float = -1.0) -> Any:
        """The method for `descend`: a NamedTuple whose class tells `embedded.descended` which loop to run."""
        raise TypeError(f"{type(self).__name__} can't be used inside compiled code: it has no `for_descend`")


class FirstOrderMethod(Method):
    """Base of the methods that step by a learning rate.

    Such a method has a field `learning_rate`, the names of the arrays (n,) that it keeps between updates in `slots`,
    and a kernel registered with `gradopt.extend.update`.
    """

    loop: ClassVar[Loop] = FIRST_ORDER

    learning_rate: LearningRate

    @property
    def has_memory(self) -> bool:
        return bool(self.slots)

    @property
    def by_epoch(self) -> bool:
        return isinstance(self.learning_rate, PerEpoch)

    def new_slots(self, x: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return tuple(aligned_zeros(x.size, x.dtype) for _ in self.slots)

    def parts(self, parts: tuple[Part, ...] | None) -> Parts | None:
        decay: Any = getattr(self, "weight_decay", 0.0)
        by_layer = isinstance(decay, tuple)
        if parts is None or not (by_layer or any(part.frozen for part in parts)):
            self._require_one_decay()
            return None
        ends, frozen = np.array([part.stop for part in parts]), [part.frozen for part in parts]
        if not by_layer:
            return Parts((self.lower(),), np.where(frozen, -1, 0), ends)
        layers = parts[-1].layer + 1
        if len(decay) not in (1, layers):
            raise ValueError(f"weight_decay must be one number, or {layers}, one per layer, got {decay}")
        decays = [np.broadcast_to(decay, layers)[part.layer] if part.decays else 0.0 for part in parts]
        distinct, which = np.unique(decays, return_inverse=True)
        methods = tuple(replace(self, weight_decay=value).lower() for value in distinct.tolist())  # type: ignore[type-var]
        return Parts(methods, np.where(frozen, -1, which), ends)

    def _require_one_decay(self) -> None:
        if isinstance(getattr(self, "weight_decay", 0.0), tuple):
            raise ValueError(
                f"weight_decay must be one number but for networks, which have layers, got {self.weight_decay}"  # type: ignore[attr-defined]
            )

    def dry_run_calls(self, x: NDArray[Any]) -> Iterator[DryRunCall]:
        if isinstance(self.learning_rate, Schedule) and self.learning_rate.pure:
            yield DryRunCall(self.learning_rate, rate, lambda: (0,))
        yield DryRunCall(self, update, lambda: (self.new_slots(x), x.copy(), np.ones_like(x), 0.001, 0))

    def for_descend(self, ftol: float = -1.0, xtol: float = -1.0) -> Any:
        self._require_one_decay()
        if not getattr(self.learning_rate, "pure", True):
            raise ValueError(f"learning_rate must be a pure function of the update count, got {self.learning_rate}")
        return Updating.Lowered(self.lower(), (0,) * len(self.slots), ftol, xtol)

    def _lower(self, dtype: Any) -> Any:
        if isinstance(getattr(self, "weight_decay", 0.0), tuple):  # `parts` has the methods that are used in its place
            return replace(self, weight_decay=0.0).lower(dtype)  # type: ignore[type-var]
        schedule = self.__dict__.get("_function") or as_schedule("learning_rate", self.learning_rate)
        return self._lower_with(dtype, learning_rate=schedule.lower(dtype))

    def _check_learning_rate(self) -> None:
        if isinstance(self.learning_rate, Schedule):
            as_schedule("learning_rate", self.learning_rate)
        elif callable(self.learning_rate):  # compiled now, with the current values of its globals
            self.__dict__["_function"] = as_schedule("learning_rate", self.learning_rate)
        else:
            self._check("learning_rate", validate.number, 0)

    def _check_weight_decay(self) -> None:
        self._check("weight_decay", _number_or_numbers)

    def _check_betas(self) -> None:
        self._check("betas", pair)
        for i, beta in enumerate(self.betas):  # type: ignore[attr-defined]
            validate.number(f"betas[{i}]", beta, 0, 1, below=True)

    def init(self, x: NDArray[Any]) -> MethodState:
        """The state before the first update, for your own loop.

        Parameters
        ----------
        x : float32 or float64 array (n,)
            The parameters; only their number and dtype matter.

        Returns
        -------
        MethodState

        Raises
        ------
        TypeError
            x is not an array that `step` can update.
        ValueError
            The learning rate depends on the epoch or the objective, which `step` does not know.

        Examples
        --------
        >>> import gradopt, numpy as np
        >>> gradopt.SGD().init(np.ones(2))
        MethodState(nit=0, slots=(array([0., 0.]),))
        """
        _check_vector("x", x)
        self._require_one_decay()
        if not getattr(self.learning_rate, "pure", True):
            raise ValueError(f"learning_rate must be a pure function of the update count, got {self.learning_rate}")
        return MethodState(0, self.new_slots(x))

    def step(self, x: NDArray[Any], grad: NDArray[Any], state: MethodState) -> None:
        """Make one update: x and state change in place.

        Parameters
        ----------
        x : float32 or float64 array (n,)
            The parameters, written.
        grad : array (n,) of the dtype of x
            The gradient of the objective at x.
        state : MethodState
            The state from `init`, written.

        Raises
        ------
        TypeError, ValueError
            The arrays do not fit each other.

        Examples
        --------
        >>> import gradopt, numpy as np
        >>> x, method = np.array([1.0, 2.0]), gradopt.SGD(learning_rate=0.1)
        >>> state = method.init(x)
        >>> method.step(x, 2 * x, state)
        >>> x, state.nit
        (array([0.8, 1.6]), 1)
        """
        if not isinstance(state, MethodState) or len(state.slots) != len(self.slots):
            raise ValueError(f"state must be the result of {type(self).__name__}.init, got {validate.shown(state)}")
        _check_vector("x", x)
        for name, other in (("grad", grad), *zip(self.slots, state.slots, strict=True)):
            _check_vector(name, other)
            if other.shape != x.shape or other.dtype != x.dtype:
                raise ValueError(
                    f"{name} must have the shape and dtype of x, {x.shape} and {x.dtype},"
                    f" got {other.shape} and {other.dtype}"
                )
        if not x.flags.writeable:
            raise ValueError("x must be writeable, got a read-only array")
        lowered = self.lower()
        update(lowered, state.slots, x, grad, rate(lowered.learning_rate, state.nit), state.nit)
        state.nit += 1


class LineSearchMethod(Method):
    """Base of the methods that choose a direction and find the length of each step by a search along it.

    Such a method has kernels registered with `new_slots`, `direction`, `first_step` and `update_memory` of
    `gradopt.extend`. Its first slot is the direction. Its lowered form has the fields `max_line_search`, the maximum
    number of evaluations in a search, and `curvature`, the constant c2 of the strong Wolfe conditions.
    """

    loop: ClassVar[Loop] = LINE_SEARCH

    def for_descend(self, ftol: float = -1.0, xtol: float = -1.0) -> Any:
        return Searching.Lowered(self.lower(), ftol, xtol)

    def new_slots(self, x: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        # In Python: compiling it for a single call does not pay off.
        return new_slots.source(self.Lowered)(self.lower(), x)  # type: ignore[no-any-return]


def pair(name: str, value: Any) -> tuple[float, float]:
    """Check that a value is two real numbers."""
    if not isinstance(value, (tuple, list, np.ndarray)) or np.size(value) != 2:
        raise ValueError(f"{name} must be two numbers, got {validate.shown(value)}")
    first, second = value
    return validate.number(f"{name}[0]", first), validate.number(f"{name}[1]", second)


def _number_or_numbers(name: str, value: Any) -> float | tuple[float, ...]:
    """Check that a value is a number >= 0, or some of them."""
    if not isinstance(value, (tuple, list, np.ndarray)):
        return validate.number(name, value, 0)
    if not len(value):
        raise ValueError(f"{name} must be a number, or one per layer, got none")
    return tuple(validate.number(f"{name}[{i}]", item, 0) for i, item in enumerate(value))


def _check_vector(name: str, value: Any) -> None:
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must be a one-dimensional float32 or float64 array, got {validate.shown(value)}")


def _kinds(base: type[Method]) -> list[type[Method]]:
    """All concrete method classes, of the package and of users."""
    kinds = [kind for cls in base.__subclasses__() for kind in (cls, *_kinds(cls))]
    return [kind for kind in kinds if "Lowered" in kind.__dict__]


# The methods of scipy.optimize.minimize, and the nearest ones here.
_SCIPYS = {"l-bfgs-b": "'lbfgs', with or without bounds", "trust-exact": "'trustregion'", "cg": "'nonlinearcg'"}
_SCIPYS |= {
    "tnc": "'lbfgs'",
    "newton-cg": "'trustregion'",
    "trust-ncg": "'trustregion'",
    "trust-krylov": "'trustregion'",
    "slsqp": "'lbfgs', which knows bounds only",
}


def as_method(method: Any) -> Method:
    """The given method, or, for a name such as "sgd" in upper or lower case, that method with its defaults."""
    if isinstance(method, Method):
        if not isinstance(getattr(method, "loop", None), Loop):
            name = type(method).__name__
            raise TypeError(
                f"{name} has no loop: set `loop` in its class to a gradopt.extend.Loop, or derive it from"
                " FirstOrderMethod or LineSearchMethod"
            )
        return method
    if isinstance(method, str):
        names = {cls.__name__.lower(): cls for cls in _kinds(Method)}
        if method.lower() in _SCIPYS:
            ours = _SCIPYS[method.lower()]
            raise ValueError(f"method must be one of {', '.join(map(repr, names))}; for {method!r} take {ours}")
        return names[validate.choice("method", method.lower(), names)]()
    example = "gradopt.SGD(learning_rate=0.01)"
    raise TypeError(f"method must be a method such as {example}, or its name, got {validate.shown(method)}")
