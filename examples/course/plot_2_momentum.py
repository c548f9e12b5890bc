"""
2. Momentum: in a valley, and between two wells
===============================================

A ball that rolls does not stop where the ground is level. Momentum gives a descent the same inertia.
"""

# %%
# A narrow valley: steep across, flat along. A learning rate that is safe across is far too small along. So plain
# descent crawls, and a larger rate throws it from side to side.

import numpy as np

from gradopt import SGD, optimize, plot, problems

valley = problems.Quadratic(np.diag([1.0, 25.0]))
start = [-4.0, 1.0]
methods = {"plain": SGD(0.035), "momentum 0.8": SGD(0.035, momentum=0.8)}
runs = [optimize(valley, start, method=method, max_iter=60, gtol=0, record="x") for method in methods.values()]
for name, run in zip(methods, runs, strict=True):
    print(f"{name:13s} objective {run.fun:.2e} after 60 steps")

# %%
# Momentum keeps a part of the last step: ``b = 0.8 b + slope``, then ``x = x - rate * b``. Across, the steps to and
# fro cancel; along, they add up.

axes = plot.path(valley, *runs, labels=list(methods))

# %%
# In motion.

film = plot.animate(valley, runs, labels=list(methods), interval=120)

# %%
# **Two wells.** The left one is deeper. A ball from the right without momentum stays in the first well that it meets;
# with momentum it rolls through.

wells = problems.DoubleWell()
methods = {"plain": SGD(0.01), "momentum 0.9": SGD(0.01, momentum=0.9)}
runs = [optimize(wells, [2.0], method=method, max_iter=300, gtol=1e-4, record="x") for method in methods.values()]
for name, run in zip(methods, runs, strict=True):
    print(f"{name:13s} ends at x = {run.x[0]: .3f}, objective {run.fun: .3f}")

# %%
film = plot.animate(wells, runs, labels=list(methods), interval=80)

# %%
# Luck helped here: the same momentum can also carry a ball out of the deeper well. Where it matters, try many starts:
# ``gradopt.multistart``.
