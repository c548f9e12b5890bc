"""Relaxation times of an image: 512 x 512 pixels with 32 echoes each, fitted side by side, with maps of the errors."""

import time

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import curve_fit

from gradopt import fit_many
from gradopt.plot import maps

plt.style.use("gradopt.plot.style")


def echo(t, amplitude, time_constant, offset):
    return amplitude * np.exp(-t / time_constant) + offset


size, rng = 512, np.random.default_rng(0)
t = np.linspace(8.0, 256.0, 32)  # ms
v, u = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
head = u**2 / 0.7 + v**2 < 0.85
true = np.stack(
    [
        np.where(head, 900.0 + 250.0 * np.cos(3.0 * u) * np.sin(4.0 * v), 0.0),
        np.where((u - 0.25) ** 2 + (v + 0.2) ** 2 < 0.05, 140.0, 65.0) + 12.0 * u,
        np.where(head, 40.0, 0.0),
    ]
)
signal = echo(t, *true[..., None]) + rng.normal(0.0, 12.0, (size, size, t.size))
signal[rng.random(signal.shape) < 0.002] += 2_000.0  # spikes
signal[:, : size // 40] = np.nan  # a strip that was not measured
signal[~head] = np.nan  # air


def start(t, Y):
    return np.stack([np.nanmax(Y, axis=-1, initial=1.0), np.full(Y.shape[:-1], 60.0), np.zeros(Y.shape[:-1])], axis=-1)


settings = {"bounds": {"time_constant": (1.0, 1000.0)}, "loss": "soft_l1", "f_scale": 30.0}
fit_many(echo, t, signal[size // 2, size // 2 :][:4], start, **settings)  # loads the kernels
begin = time.perf_counter()
fits = fit_many(echo, t, signal, start, **settings)
seconds = time.perf_counter() - begin
measured = np.isfinite(signal).any(axis=-1)
print(f"{fits.summary()}\n\n{measured.sum():,} fits in {seconds:.1f} s, {measured.sum() / seconds:,.0f} a second")
sample = [tuple(place) for place in rng.permutation(np.argwhere(measured & head))[:100]]
begin = time.perf_counter()
for place in sample:
    known = np.isfinite(signal[place])
    y, low, high = signal[place][known], [-np.inf, 1.0, -np.inf], [np.inf, 1000.0, np.inf]
    curve_fit(echo, t[known], y, [y.max(), 60.0, 0.0], bounds=(low, high), loss="soft_l1", f_scale=30.0)
print(f"scipy.optimize.curve_fit on {len(sample)} of them: {len(sample) / (time.perf_counter() - begin):,.0f} a second")
off = np.abs(fits.x - np.moveaxis(true, 0, -1))[..., 1] / fits.stderr[..., 1]
print(f"time constants within two errors of the truth: {100.0 * np.mean(off[fits.success & head] < 2.0):.1f} %")
for axes in maps(fits)[1::3]:
    axes.set_title(f"{axes.get_title()}, ms")
plt.savefig("pixels.png", dpi=80)
print("wrote pixels.png")
