"""What a problem, a method or a schedule of one's own needs.

config            the decorator of a configuration class: a frozen dataclass whose fields its kernels see
Problem, RowProblem, FirstOrderMethod, LineSearchMethod, Method, Schedule
                  the base classes
value_and_grad, batch_value_and_grad, update, rate, direction, new_slots, first_step, update_memory
                  the generics: `@value_and_grad.on(MyProblem)` registers a kernel of a class
Loop              the record of a family of methods, for one with a loop of its own
kernel            compiles a function of such a loop
validate          checks of arguments, whose messages name the argument, the value and what is wanted

CONTRIBUTING.md has a recipe for each.
"""

from gradopt._compiler import kernel
from gradopt._core import validate
from gradopt._core.config import config
from gradopt._core.protocol import (
    batch_value_and_grad,
    current_rate,
    direction,
    first_step,
    new_slots,
    observe,
    rate,
    update,
    update_memory,
    value_and_grad,
)
from gradopt._loops.types import RUNNING, Loop
from gradopt.methods import FirstOrderMethod, LineSearchMethod, Method
from gradopt.problems import Problem, RowProblem
from gradopt.schedules import Schedule

__all__ = [
    "RUNNING",
    "FirstOrderMethod",
    "LineSearchMethod",
    "Loop",
    "Method",
    "Problem",
    "RowProblem",
    "Schedule",
    "batch_value_and_grad",
    "config",
    "current_rate",
    "direction",
    "first_step",
    "kernel",
    "new_slots",
    "observe",
    "rate",
    "update",
    "update_memory",
    "validate",
    "value_and_grad",
]
