"""A fit in words: its summary, and its table for notebooks. Each function takes a `CurveFitResult`."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from typing import Any

# Correlations from here on are listed.
_CORRELATED = 0.9


def text(fit: Any) -> str:
    """The fit as a text: each parameter with its error, how well the model fits, and what to beware of."""
    rows = list(_rows(fit))
    width = max(len(name) for name, *_ in rows)
    shown = [number(value, error) for _, value, error, _ in rows]
    broad = max(map(len, shown))
    lines = [
        f"  {name:<{width}}  {value:<{broad}}  {remark}".rstrip()
        for (name, _, _, remark), value in zip(rows, shown, strict=True)
    ]
    lines.insert(0, f"fit of {fit.model_name}, {_measures(fit)}")
    pairs = _correlated(fit)
    if pairs:
        lines.append("correlations: " + ", ".join(f"{a} and {b} {c:+.3f}" for a, b, c in pairs))
    lines += [f"beware: {remark}" for remark in remarks(fit)]
    return "\n".join([*lines, fit.message])


def table(fit: Any) -> str:
    """A table, for notebooks."""
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{number(value, error)}</td><td>{html.escape(remark)}</td></tr>"
        for name, value, error, remark in _rows(fit)
    )
    caption = html.escape(_measures(fit))
    return f"<table><caption>{caption}</caption><tr><th></th><th>value</th><th></th></tr>{rows}</table>"


def remarks(fit: Any) -> list[str]:
    """What a reader of the figures should know."""

    def named(which: Any) -> str:
        return ", ".join(name for name, is_it in zip(fit.names, which, strict=True) if is_it)

    found = []
    if fit.active_mask.any():
        found.append(f"{named(fit.active_mask != 0)} at a bound: no standard error")
    if fit.undetermined.any():
        found.append(f"the data do not determine {named(fit.undetermined)}: the covariance is infinite")
    if fit.dof <= 0:
        found.append("no more points than parameters: the errors are unknown")
    return found


def _measures(fit: Any) -> str:
    """How well the model fits."""
    parts = [f"{fit.residuals.size} points", f"{fit.dof} degrees of freedom", f"chi squared {fit.rss:.6g}"]
    parts.append(f"reduced {fit.reduced_chi_squared:.4g}")
    parts += [] if math.isnan(fit.r_squared) else [f"R2 {fit.r_squared:.6g}"]
    return ", ".join([*parts, f"AIC {fit.aic:.5g}", f"BIC {fit.bic:.5g}"])


def _rows(fit: Any) -> Iterator[tuple[str, float, float, str]]:
    """Each parameter: its name, value, standard error, and a remark."""
    for i, name in enumerate(fit.names):
        remark = "fixed" if fit.fixed[i] else ""
        if fit.active_mask[i]:
            remark = f"at its {'lower' if fit.active_mask[i] < 0 else 'upper'} bound"
        elif fit.undetermined[i]:
            remark = "undetermined"
        yield name, float(fit.popt[i]), float(fit.stderr[i]), remark


def _correlated(fit: Any) -> list[tuple[str, str, float]]:
    """The pairs of parameters with a high correlation, and that."""
    found = []
    for i in range(len(fit.names)):
        for j in range(i):
            c = float(fit.correlation[i, j])
            if abs(c) > _CORRELATED:
                found.append((fit.names[j], fit.names[i], c))
    return found


def number(value: float, error: float) -> str:
    """A value with its error, to two digits of the error."""
    if not (math.isfinite(error) and error > 0.0 and math.isfinite(value)):
        suffix = "" if math.isnan(error) or error == 0.0 else f" +/- {error:g}"
        return f"{value:.7g}{suffix}"
    digits = 1 - math.floor(math.log10(error))
    exponent = math.floor(math.log10(max(abs(value), error)))
    if -4 <= exponent < 7 and digits <= 10:
        places = max(digits, 0)
        return f"{round(value, digits):.{places}f} +/- {round(error, digits):.{places}f}"
    scale = 10.0**exponent
    places = max(digits + exponent, 0)
    return f"({value / scale:.{places}f} +/- {error / scale:.{places}f})e{exponent:+03d}"
