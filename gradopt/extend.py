"""The tools for your own problems, methods and schedules.

config            decorator for a configuration class: a frozen dataclass whose fields its kernels see
Problem, RowProblem, FirstOrderMethod, LineSearchMethod, Method, Schedule
                  the base classes
value_and_grad, batch_value_and_grad, hessian, hessian_product, update, rate, current_rate, observe, direction,
new_slots, first_step, update_memory
                  the generics: `@value_and_grad.on(MyProblem)` registers the kernel of a class
Loop, RUNNING     the description of a family of methods with its own loop, and the status of a run that goes on
kernel            compiles a function of such a loop
validate          argument checks with messages that name the argument, its value and what is expected

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
    hessian,
    hessian_product,
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
    "hessian",
    "hessian_product",
    "kernel",
    "new_slots",
    "observe",
    "rate",
    "update",
    "update_memory",
    "validate",
    "value_and_grad",
]
