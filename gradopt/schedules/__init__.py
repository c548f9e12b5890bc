"""Learning-rate schedules: functions of the update count k, which starts at 0.

Each schedule is a class with its kernel below it. `schedule(k)` evaluates the kernel from Python; the descent loop
evaluates the same kernel in machine code.
"""

from gradopt.schedules.base import Constant, FunctionOfCount, LearningRate, Schedule, as_schedule
from gradopt.schedules.composed import Join, PerEpoch, PiecewiseConstant, Warmup, per_epoch
from gradopt.schedules.cycles import CosineWarmRestarts, Cyclic, OneCycle
from gradopt.schedules.decays import CosineDecay, ExponentialDecay, InverseTimeDecay, PolynomialDecay, StepDecay
from gradopt.schedules.plateau import ReduceOnPlateau

__all__ = [
    "Constant",
    "CosineDecay",
    "CosineWarmRestarts",
    "Cyclic",
    "ExponentialDecay",
    "FunctionOfCount",
    "InverseTimeDecay",
    "Join",
    "LearningRate",
    "OneCycle",
    "PerEpoch",
    "PiecewiseConstant",
    "PolynomialDecay",
    "ReduceOnPlateau",
    "Schedule",
    "StepDecay",
    "Warmup",
    "as_schedule",
    "per_epoch",
]
