"""LBFGS and NonlinearCG: their directions and steps, what they solve, bounds, and how runs end."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import Bounds
from scipy.optimize import minimize as scipy_minimize

import gradopt
from gradopt import LBFGS, SGD, Network, NonlinearCG, RetryFromBest, Status, every, optimize, problems

import naive
from marks import compiled_only

WOOD = problems.MGH(14)
METHODS = [LBFGS(), NonlinearCG()]


def names(method):
    return type(method).__name__


def iterates(method, problem=WOOD, steps=25, **arguments):
    """The iterates of a run, and objectives and gradients there."""
    result = optimize(problem, method=method, max_iter=steps, record="x", gtol=0, **arguments)
    x = result.history.x
    values, grads = zip(*(problem.value_and_grad(row) for row in x), strict=True)
    return x, np.array(values), np.array(grads), result.history.learning_rate


@pytest.mark.parametrize("memory", [1, 4, 30])
def test_lbfgs_steps_along_minus_h_grad(memory):
    x, _, grads, lengths = iterates(LBFGS(memory=memory))
    for k in range(1, len(x) - 1):
        d = naive.quasi_newton_direction(np.diff(x[: k + 1], axis=0), np.diff(grads[: k + 1], axis=0), grads[k], memory)
        np.testing.assert_allclose(x[k + 1] - x[k], lengths[k + 1] * d, rtol=1e-6, atol=1e-8 * np.abs(d).max())


@pytest.mark.parametrize("beta", ["polak-ribiere+", "fletcher-reeves", "hestenes-stiefel", "dai-yuan"])
def test_conjugate_gradients_have_their_beta(beta):
    x, _, grads, lengths = iterates(NonlinearCG(beta))
    d = -grads[0]
    restarts = 0
    for k in range(len(x) - 1):
        if k > 0:
            weight = naive.conjugate_beta(beta, grads[k], grads[k - 1], d)
            restarts += weight == 0.0
            d = -grads[k] + weight * d
            if grads[k] @ d >= 0.0:
                d = -grads[k]
        np.testing.assert_allclose(x[k + 1] - x[k], lengths[k + 1] * d, rtol=1e-6, atol=1e-9 * np.abs(d).max())
    assert restarts < len(x) - 2


@pytest.mark.parametrize("number", [1, 5, 7, 8, 14, 16])
@pytest.mark.parametrize(("method", "c2"), [(LBFGS(), 0.9), (NonlinearCG(), 0.1)], ids=["LBFGS", "NonlinearCG"])
def test_each_step_meets_the_strong_wolfe_conditions(method, c2, number):
    x, values, grads, lengths = iterates(method, problems.MGH(number), steps=12)
    assert lengths[0] == 0.0
    for k in range(len(x) - 1):
        step = x[k + 1] - x[k]
        predicted_change = grads[k] @ step
        assert predicted_change < 0.0
        assert values[k + 1] <= values[k] + 1e-4 * predicted_change + 1e-14 * abs(values[k])
        assert abs(grads[k + 1] @ step) <= c2 * abs(predicted_change) * (1 + 1e-6)


@pytest.mark.parametrize("number", range(1, 19))
def test_lbfgs_solves_the_test_problems(number):
    problem = problems.MGH(number)
    result = optimize(problem)
    known = [value for value in (problem.minimum, problem.local_minimum) if value is not None]
    assert any(result.fun - value <= 1e-6 * (1 + abs(value)) for value in known), result
    # The rounding of the steepest one hides the last digits of its minimum.
    assert result.success or (number == 10 and result.status is Status.LINE_SEARCH)
    assert result.best_fun <= result.fun
    value, grad = problem.value_and_grad(result.x)
    assert result.fun == value
    np.testing.assert_array_equal(result.jac, grad)


@pytest.mark.parametrize("number", [1, 4, 5, 7, 8, 12, 14, 15, 16])
def test_conjugate_gradients_solve_the_milder_ones(number):
    problem = problems.MGH(number)
    result = optimize(problem, method="nonlinearcg")
    assert result.fun - problem.minimum <= 1e-6 * (1 + abs(problem.minimum))
    assert result.success


def test_is_what_a_deterministic_run_gets():
    result = optimize(WOOD)
    assert result.state.method == LBFGS()
    assert result.status is Status.GTOL
    np.testing.assert_allclose(result.x, np.ones(4), atol=1e-5)


@pytest.mark.parametrize("method", METHODS, ids=names)
@pytest.mark.parametrize("number", [1, 5])
def test_float32(number, method):
    problem = problems.MGH(number)
    result = optimize(problem, problem.x0.astype(np.float32), method=method)
    assert result.x.dtype == np.float32
    assert result.success
    assert result.fun < 2e-6


@compiled_only
def test_float32_in_full_batch_on_a_network(rng):
    X = rng.normal(size=(200, 64)).astype(np.float32)
    y = np.argmax(X @ rng.normal(size=(64, 10)), axis=1)
    net = Network.mlp([64, 32, 10], activation="tanh")
    single = optimize(problems.Classifier(net, X, y), net.init(0, dtype=np.float32), gtol=1e-4)
    assert single.x.dtype == np.float32
    assert single.status is Status.GTOL
    assert single.fun < 1e-3
    assert single.nit < 60


def test_float32_with_differences_whose_steps_suit_it():
    def fun(x):
        return np.float32(100) * (x[1] - x[0] * x[0]) ** 2 + (np.float32(1) - x[0]) ** 2

    x0 = np.array([-1.2, 1.0], np.float32)
    result = optimize(fun, x0)
    assert result.fun < 1e-3 < scipy_minimize(fun, x0, method="L-BFGS-B").fun


@given(first=st.integers(0, 30), memory=st.sampled_from([3, 10]))
@pytest.mark.parametrize("method", METHODS, ids=names)
def test_resumed_is_uninterrupted(method, first, memory):
    method = LBFGS(memory=memory) if names(method) == "LBFGS" else method
    whole = optimize(WOOD, method=method, max_iter=40, gtol=0)
    begun = optimize(WOOD, method=method, max_iter=first, gtol=0)
    resumed = optimize(WOOD, state=begun.state, max_iter=40 - first, gtol=0)
    np.testing.assert_array_equal(resumed.x, whole.x)
    assert (resumed.fun, resumed.nit) == (whole.fun, whole.nit)


@pytest.mark.parametrize("method", METHODS, ids=names)
def test_callbacks_and_chunks_change_nothing(method):
    seen = []
    whole = optimize(WOOD, method=method)
    pieces = optimize(WOOD, method=method, callback=[every(3, lambda x: None), seen.append], record=None)
    np.testing.assert_array_equal(pieces.x, whole.x)
    assert (pieces.nit, pieces.nfev, pieces.status) == (whole.nit, whole.nfev, whole.status)
    assert len(seen) == whole.nit
    assert whole.history.fun[-1] == whole.fun
    np.testing.assert_array_equal(whole.history.nit, np.arange(whole.nit + 1))


def test_a_state_fits_another_memory(tmp_path):
    begun = optimize(WOOD, method=LBFGS(memory=6), max_iter=15, gtol=0)
    begun.save(tmp_path / "run.npz")
    loaded = gradopt.load(tmp_path / "run.npz").state
    same = optimize(WOOD, state=loaded, max_iter=20, gtol=0)
    np.testing.assert_array_equal(same.x, optimize(WOOD, method=LBFGS(memory=6), max_iter=35, gtol=0).x)
    for memory in (2, 6, 9):
        longer = optimize(WOOD, state=loaded, method=LBFGS(memory=memory))
        assert longer.success
        np.testing.assert_allclose(longer.x, np.ones(4), atol=1e-5)
    with pytest.raises(ValueError, match="method must be LBFGS, as in the state"):
        optimize(WOOD, state=loaded, method=NonlinearCG())


@pytest.mark.parametrize("method", METHODS, ids=names)
@pytest.mark.parametrize("problem", [WOOD, problems.Rosenbrock()], ids=str)
def test_descend_gives_the_bits_of_optimize(problem, method):
    x = problem.x0
    fun, nit, status = gradopt.descend(gradopt.compiled(problem), gradopt.compiled(method), x, 300, 1e-6)
    result = optimize(problem, method=method, max_iter=300, gtol=1e-6)
    np.testing.assert_array_equal(x, result.x)
    assert (fun, nit, status) == (result.fun, result.nit, result.status)


class TestHowItEnds:
    def test_a_gradient_of_the_wrong_sign(self):
        result = optimize(lambda x: x[0] ** 2, [1.0], jac=lambda x: -2 * x)
        assert result.status is Status.LINE_SEARCH
        assert not result.success
        assert "check_gradient" in result.message
        assert result.x[0] == 1.0

    @pytest.mark.parametrize("fun", [lambda x: -x[0], lambda x: -(x[0] ** 2), lambda x: -np.exp(x[0])])
    def test_unbounded_below_is_no_success(self, fun):
        result = optimize(fun, [1.0], max_iter=300)
        assert not result.success
        assert result.fun > -np.inf
        assert np.isfinite(result.x).all()

    def test_steps_back_from_where_the_objective_is_not_defined(self):
        result = optimize(lambda x: x[0] - np.log(x[0]), [1e-3], jac=lambda x: 1 - 1 / x)
        assert result.success
        assert result.x[0] == pytest.approx(1.0, abs=1e-4)

    def test_nowhere_defined_but_at_the_start(self):
        result = optimize(lambda x: 0.0 if x[0] == 1.0 else np.nan, [1.0], jac=lambda x: np.ones(1))
        assert result.status is Status.NON_FINITE
        assert result.x[0] == 1.0
        assert "wherever the line search" in result.message

    def test_at_a_minimum_already(self):
        result = optimize(problems.Rosenbrock(), [1.0, 1.0])
        assert (result.status, result.nit, result.nfev) == (Status.GTOL, 0, 1)

    @pytest.mark.parametrize("method", METHODS, ids=names)
    def test_no_step_is_left_where_rounding_hides_the_decrease(self, method):
        result = optimize(problems.MGH(8), method=method, gtol=0, ftol=0)
        assert result.status in (Status.LINE_SEARCH, Status.FTOL)
        assert result.fun == pytest.approx(problems.MGH(8).minimum, rel=1e-9)

    def test_in_one_evaluation_for_each_line_search(self):
        result = optimize(WOOD, method=LBFGS(max_line_search=2), max_iter=2000)
        assert result.nfev <= 4 * result.nit + 4
        assert np.isfinite(result.fun)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clip_norm": 1.0}, "clip_norm has no meaning for LBFGS"),
        ({"recover": RetryFromBest()}, "recover has no meaning for LBFGS"),
        ({"bounds": [(0, 1)]}, r"bounds must have 4 pairs, one for each parameter, got 1"),
        ({"bounds": [(0, 1)] * 3 + [(2, 1)]}, r"bounds must have low <= high, got 2.0 > 1.0 for x\[3\]"),
        ({"bounds": [(0, np.nan)] * 4}, "bounds must not be NaN"),
        ({"bounds": "wide"}, "bounds must be a scipy.optimize.Bounds or a pair"),
        ({"bounds": [1, 2, 3, 4]}, "bounds must be a scipy.optimize.Bounds or a pair"),
        ({"bounds": [("a", 1)] * 4}, "bounds must have 4 real numbers as low ends"),
        ({"bounds": [(np.inf, np.inf)] * 4}, "bounds must leave room for finite numbers"),
        ({"bounds": Bounds([0, 0, 0], [1, 1, 1])}, "bounds must have 4 real numbers as low ends"),
        (
            {"bounds": [(0, 1)] * 4, "method": SGD()},
            r"bounds need a method that keeps them, such as LBFGS\(\), got SGD",
        ),
        ({"bounds": [(0, 1)] * 4, "method": NonlinearCG()}, "bounds need a method that keeps them"),
    ],
)
def test_what_has_no_meaning_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        optimize(WOOD, **arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LBFGS(memory=0), "memory must be an integer >= 1"),
        (lambda: LBFGS(max_line_search=1), "max_line_search must be an integer >= 2"),
        (lambda: NonlinearCG("pr"), "beta must be one of 'polak-ribiere\\+'"),
    ],
)
def test_settings_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_not_for_batches():
    fit = problems.PolynomialFit(np.arange(5.0), np.arange(5.0))
    with pytest.raises(ValueError, match="method must be a first-order method that takes batches"):
        optimize(fit, method=LBFGS(), batch_size=2)
    assert not hasattr(LBFGS(), "init")
    assert not hasattr(LBFGS(), "step")


def box_around(problem, seed):
    """Bounds around the start, some of them infinite, some that fix a parameter; and a start inside."""
    rng = np.random.default_rng(seed)
    center, width = problem.x0, 0.2 + np.abs(problem.x0)
    low, high = center - width * rng.random(problem.n), center + width * rng.random(problem.n)
    low[rng.random(problem.n) < 0.3] = -np.inf
    high[rng.random(problem.n) < 0.3] = np.inf
    if seed % 4 == 0:
        low[0] = high[0] = center[0] * 1.05
    return low, high, np.clip(center, low, high)


class TestBounds:
    @pytest.mark.parametrize("number", [1, 2, 3, 5, 7, 8, 12, 14, 15, 16, 17, 18])
    def test_finds_no_worse_a_point_than_scipy(self, number):
        problem = problems.MGH(number)
        for seed in range(4):
            low, high, x0 = box_around(problem, seed)
            ours = optimize(problem, x0, bounds=np.transpose([low, high]), gtol=1e-7)
            theirs = scipy_minimize(
                problem.value_and_grad,
                x0,
                jac=True,
                method="L-BFGS-B",
                bounds=Bounds(low, high),
                options={"ftol": 1e-15, "gtol": 1e-7, "maxfun": 5000},
            )
            assert ours.fun <= theirs.fun + 1e-5 * (1 + abs(theirs.fun)), (seed, ours, theirs)
            assert (low <= ours.x).all()
            assert (ours.x <= high).all()
            if ours.status is Status.GTOL:
                assert np.abs(ours.x - np.clip(ours.x - ours.jac, low, high)).max() <= 1e-7

    @given(seed=st.integers(0, 10_000), jac=st.sampled_from(["2-point", "3-point", "given"]))
    def test_every_evaluated_point_is_inside(self, seed, jac):
        problem = problems.MGH(14)
        low, high, x0 = box_around(problem, seed)
        points = []

        class Watched:
            def __call__(self, x):
                points.append(x.copy())
                return problem.value(x)

        fun = Watched()
        gradient = problem.grad if jac == "given" else jac
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            result = optimize(fun, x0, jac=gradient, bounds=Bounds(low, high), max_iter=15)
        assert len(points) == result.nfev
        assert (low <= np.array(points)).all()
        assert (np.array(points) <= high).all()

    @pytest.mark.parametrize(
        "bounds",
        [
            [(None, 0.5), (-1, None)],
            ((-np.inf, 0.5), (-1.0, np.inf)),
            np.array([[-np.inf, 0.5], [-1.0, np.inf]]),
            Bounds([-np.inf, -1.0], [0.5, np.inf]),
        ],
        ids=["None", "inf", "array", "Bounds"],
    )
    def test_forms(self, bounds):
        result = optimize(problems.MGH(1), bounds=bounds)
        np.testing.assert_allclose(result.x, [0.5, 0.25], atol=1e-5)
        assert result.status is Status.GTOL

    def test_one_number_for_all_in_scipys_class(self):
        result = optimize(problems.MGH(1), [0.0, 0.0], bounds=Bounds(-0.5, 0.5))
        np.testing.assert_allclose(result.x, [0.5, 0.25], atol=1e-5)

    def test_a_start_outside_is_moved_in_with_a_warning(self):
        with pytest.warns(RuntimeWarning, match=r"x0\[0\] = -1.2 became 0") as caught:
            result = optimize(problems.MGH(1), bounds=[(0, 2), (0, 2)], record="x")
        assert caught[0].filename == __file__
        np.testing.assert_array_equal(result.history.x[0], [0.0, 1.0])
        np.testing.assert_allclose(result.x, [1.0, 1.0], atol=1e-4)

    @pytest.mark.parametrize(
        ("fun", "jac", "x0", "bounds", "minimum"),
        [
            (lambda x: 100 * (x[0] - 0.5) ** 2, lambda x: 200 * (x - 0.5), [0.0], [(0, 1)], 0.0),
            (lambda x: 100 * (x[0] - 0.5) ** 2, None, [1.0], [(0, 1)], 0.0),
            (lambda x: (x[0] - 1) ** 2 + x[0] ** 4 + (x[1] + 2) ** 2, None, [0.0, 0.0], [(0, 1), (0, 1)], 4.28925),
            (lambda x: np.cos(x[0]), None, [0.1], [(0.1, 2 * np.pi - 0.1)], -1.0),
        ],
    )
    def test_a_step_to_a_corner_as_high_as_the_start_is_none(self, fun, jac, x0, bounds, minimum):
        result = optimize(fun, x0, jac=jac, bounds=bounds)
        assert result.status is Status.GTOL
        assert result.fun == pytest.approx(minimum, abs=1e-4)

    def test_all_fixed(self):
        problem = problems.MGH(14)
        result = optimize(problem, bounds=[(value, value) for value in problem.x0])
        assert (result.status, result.nit, result.nfev) == (Status.GTOL, 0, 1)
        result = optimize(lambda x: x[0] ** 2 + x[1], [3.0, 4.0], bounds=[(3, 3), (4, 4)])
        assert (result.status, result.nfev) == (Status.GTOL, 4)  # thrice in Python: twice at x0, once at the result

    def test_resumed_is_uninterrupted(self):
        problem = problems.MGH(18)
        low, high, x0 = box_around(problem, 3)
        arguments = {"bounds": Bounds(low, high), "gtol": 0, "ftol": 0}
        whole = optimize(problem, x0, max_iter=20, **arguments)
        begun = optimize(problem, x0, max_iter=9, **arguments)
        np.testing.assert_array_equal(optimize(problem, state=begun.state, max_iter=11, **arguments).x, whole.x)
