"""Methods inside scipy.optimize.minimize."""

import numpy as np
import pytest
from scipy.optimize import Bounds, minimize

import gradopt
from gradopt import LBFGS, SGD, Adam, NonlinearCG, OptimizeResult, Status, optimize


def fun(x, center):
    return np.sum((x - center) ** 2) + x[0] ** 4


def jac(x, center):
    grad = 2.0 * (x - center)
    grad[0] += 4.0 * x[0] ** 3
    return grad


def both(x, center):
    return fun(x, center), jac(x, center)


CENTER = np.array([1.0, -2.0, 0.5])
START = [0.0, 0.0, 0.0]
SOLUTION = optimize(fun, START, jac=jac, args=(CENTER,), gtol=1e-10).x


def solve(function=fun, **arguments):
    return minimize(function, START, **({"args": (CENTER,), "method": LBFGS()} | arguments))


@pytest.mark.parametrize("method", [LBFGS(), NonlinearCG(), SGD(0.05), Adam(0.05)], ids=lambda m: type(m).__name__)
def test_every_deterministic_method(method):
    result = solve(method=method, jac=jac)
    assert isinstance(result, OptimizeResult)
    assert result.success
    assert result.state.method == method
    np.testing.assert_allclose(result.x, SOLUTION, atol=1e-4)


@pytest.mark.parametrize(
    ("function", "gradient"),
    [(fun, None), (fun, jac), (both, True), (fun, "3-point"), (fun, False)],  # scipy drops strings
)
def test_jac(function, gradient):
    result = solve(function, jac=gradient)
    np.testing.assert_allclose(result.x, SOLUTION, atol=1e-5)
    given = gradient is True or callable(gradient)
    assert ("gradient by reverse mode" in result.message) == (not given)
    direct = optimize(function, START, args=(CENTER,), jac=gradient if given else None)
    np.testing.assert_array_equal(result.x, direct.x)
    assert (result.nit, result.nfev) == (direct.nit, direct.nfev)


def test_tolerances_and_options():
    assert solve(tol=1e-2).nit < solve(tol=1e-9).nit
    assert np.abs(solve(options={"gtol": 1e-9}).jac).max() <= 1e-8
    assert solve(tol=1e-2, options={"gtol": 1e-9}).nit == solve(options={"gtol": 1e-9}).nit
    limited = solve(options={"maxiter": 1})
    assert (limited.nit, limited.status) == (1, Status.MAX_ITER)
    with pytest.raises(ValueError, match="options must be among maxiter, disp, differences, gtol.*got maxfun"):
        solve(options={"maxfun": 3})


def test_a_way_to_the_gradient_that_scipy_hides():
    result = solve(options={"differences": "cs"})
    assert result.message.endswith("gradient by the complex step")


def test_disp(capsys):
    result = solve(options={"disp": True})
    assert result.message in capsys.readouterr().out


@pytest.mark.parametrize("bounds", [[(None, 0.2), (-1, None), (0, 1)], Bounds([-np.inf, -1, 0], [0.2, np.inf, 1])])
def test_bounds(bounds):
    np.testing.assert_allclose(solve(bounds=bounds, jac=jac).x, [0.2, -1.0, 0.5], atol=1e-6)


def test_callbacks_in_both_forms():
    seen, results = [], []

    def watch(intermediate_result):
        results.append(intermediate_result)

    result = solve(jac=jac, callback=seen.append)
    solve(jac=jac, callback=watch)
    assert len(seen) == len(results) == result.nit
    np.testing.assert_array_equal(seen[-1], results[-1].x)
    assert results[-1].fun == result.fun

    def stop(xk):
        raise StopIteration

    assert solve(jac=jac, callback=stop).status is Status.CALLBACK


@pytest.mark.parametrize(
    "argument", [{"hess": jac}, {"hessp": jac}, {"constraints": {"type": "eq", "fun": fun}}, {"constraints": [{}]}]
)
def test_what_has_no_meaning_is_refused(argument):
    with pytest.raises(ValueError, match=f"{next(iter(argument))} has no meaning for LBFGS"):
        solve(**argument)


def test_has_what_scipys_result_has_and_says_success_first():
    ours, theirs = solve(), solve(method="BFGS")
    assert set(theirs) - {"hess_inv"} <= set(ours)
    assert str(ours).startswith(f"success, GTOL: {ours.message}")


def test_a_problem_keeps_its_kernel():
    with pytest.raises(TypeError, match="problem must be"):
        gradopt.optimize(LBFGS(), START)
