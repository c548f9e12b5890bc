"""Fitting a model of one's own, from data to a picture: a damped swing, its errors known, some of the data wrong."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import curve_fit as scipys_curve_fit

from gradopt import curve_fit


def swing(t, amplitude, damping, frequency, phase):
    return amplitude * np.exp(-damping * t) * np.cos(frequency * t + phase)


rng = np.random.default_rng(1)
true = np.array([2.0, 0.25, 3.0, 0.4])
t = np.linspace(0, 8, 120)
sigma = np.where(t < 4, 0.08, 0.16)  # a second, coarser instrument took over half-way
y = swing(t, *true) + sigma * rng.normal(size=t.size)
wrong = rng.choice(t.size, 10, replace=False)
y[wrong] += rng.uniform(1, 3, wrong.size)

start = {"amplitude": 1.0, "damping": 0.1, "frequency": 2.8, "phase": 0.0}
settings = {"p0": start, "sigma": sigma, "bounds": {"damping": (0, None)}}
plain = curve_fit(swing, t, y, **settings)
robust = curve_fit(swing, t, y, loss="huber", f_scale=1.5, **settings)

print(f"{'true':28s}{true}")
print(
    f"{'least squares':28s}{plain.popt.round(3)}  off by {np.abs((plain.popt - true) / plain.stderr).max():.1f} errors"
)
print(f"{'Huber':28s}{robust.popt.round(3)}  off by {np.abs((robust.popt - true) / robust.stderr).max():.1f} errors")
theirs, _ = scipys_curve_fit(swing, t, y, list(start.values()), sigma)
print(f"{'scipy.optimize.curve_fit':28s}{theirs.round(3)}")
print(f"\n{robust}\n\n95 % intervals")
for name, (low, high) in zip(robust.names, robust.confidence_interval(), strict=True):
    print(f"  {name:10s}{low:8.4f} to {high:.4f}")

plt.style.use("gradopt.plot.style")
curve, residuals = robust.plot()
curve.plot(np.linspace(0, 8, 400), plain.predict(np.linspace(0, 8, 400)), "C1--", lw=1.2, label="least squares")
curve.legend(loc="upper right", ncols=2)
curve.set(ylabel="angle, degrees", ylim=(-2.5, 6))
residuals.set(xlabel="time, s", ylabel="residual, degrees")
plt.savefig("curve_fit.png", dpi=110)
print("wrote curve_fit.png")
