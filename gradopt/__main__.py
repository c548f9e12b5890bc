"""The commands `python -m gradopt ...`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import gradopt
from gradopt import methods, problems
from gradopt._compiler import numba_api
from gradopt._compiler.compile_time import compile_seconds


def main(arguments: list[str] | None = None) -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(prog="python -m gradopt")
    commands = parser.add_subparsers(required=True)
    warm = commands.add_parser("warm", help="compile the loops beforehand, for containers and clusters")
    known = [name.lower() for name in _own_methods()]
    warm.add_argument("--methods", nargs="+", choices=known, default=known, metavar="METHOD", help=", ".join(known))
    warm.add_argument("--dtypes", nargs="+", choices=["float64", "float32"], default=["float64", "float32"])
    warm.set_defaults(run=lambda chosen: fill_cache(chosen.methods, chosen.dtypes))
    chosen = parser.parse_args(arguments)
    chosen.run(chosen)


def fill_cache(names: list[str], dtypes: list[str]) -> None:
    """Make a short run of each kind, so that its machine code is in the disk cache, and print how long each takes."""
    if numba_api.cache is None:
        raise SystemExit("nothing to fill: GRADOPT_PLAIN_NUMBA is set, or this Numba lacks what the disk cache needs")
    total = time.perf_counter()
    for dtype in dtypes:
        for name in names:
            for what, run in _runs(_own_methods()[name], np.dtype(dtype)):
                started, compiled = time.perf_counter(), compile_seconds()
                run()
                seconds, compiled = time.perf_counter() - started, compile_seconds() - compiled
                print(f"{name}, {dtype}, {what}: {seconds:.1f} s, {compiled:.1f} s of it compiling", flush=True)
    print(f"in all {time.perf_counter() - total:.1f} s")


def _own_methods() -> dict[str, Any]:
    bases = methods.Method, methods.FirstOrderMethod, methods.LineSearchMethod
    public = {name.lower(): getattr(methods, name) for name in methods.__all__}
    kinds = {name: kind for name, kind in public.items() if isinstance(kind, type) and issubclass(kind, bases[0])}
    return {name: kind for name, kind in kinds.items() if kind not in bases}


def _runs(kind: Any, dtype: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The runs that use a method: (what is minimised, the run)."""
    method, x = kind(), np.full(20, 0.5, dtype)

    def fun(x: Any) -> Any:
        return np.sum((x - 1.0) ** 2)

    def branching(x: Any) -> Any:
        return np.sum((x - 1.0) ** 2) if x[0] < 1e6 else 0.0

    def run(problem: Any, x: Any, **settings: Any) -> Callable[[], Any]:
        return lambda: gradopt.optimize(problem, x, method=method, max_iter=5, **settings)

    yield "a traced function", run(fun, x)
    yield "an interpreted function", run(branching, x)
    yield "Rosenbrock, two parameters", run(problems.Rosenbrock(), np.zeros(2, dtype))
    yield "Quadratic, twenty parameters", run(problems.Quadratic(np.eye(20, dtype=dtype)), x)
    if method.loop.takes_bounds:
        yield "a traced function within bounds", run(fun, x, bounds=[(0.0, 2.0)] * 20)
    if method.loop.batches is not None:
        X, y = np.arange(24, dtype=dtype).reshape(8, 3) / 24, np.arange(8) % 2
        network = gradopt.Network.mlp([3, 4, 2])
        yield "a Classifier", run(problems.Classifier(network, X, y), None, batch_size=4, rng=0)
        yield "a Regressor", run(problems.Regressor(network, X, X[:, :2]), None, batch_size=4, rng=0)


if __name__ == "__main__":
    main()
