"""The steps of differences fit the scale of each parameter."""

import numpy as np
import pytest
from scipy.optimize import minimize

from gradopt import LBFGS, SGD, optimize, problems
from gradopt.problems.functions.differences import probed_scale, workspace
from gradopt.problems.functions.function import Function

SCALES = [1e-300, 1e-12, 1e-5, 1.0, 1e4, 1e9, 1e200]


def bowl(scale):
    """A function of parameters that are all of this size."""

    def fun(x):
        return (x[0] / scale - 2.0) ** 2 + np.cos(x[1] / scale) + (3.0 if x[:1][x[:1] < np.inf].size else 0.0)

    return fun


def slope(scale, x):
    return np.array([2.0 * (x[0] / scale - 2.0), -np.sin(x[1] / scale)]) / scale


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("jac", "tolerance"), [("2-point", 1e-6), ("3-point", 1e-9)])
def test_the_gradient_is_right_at_any_scale(scale, jac, tolerance):
    x = scale * np.array([1.0, 0.7])
    got = Function(bowl(scale), jac, (), x).grad(x)
    np.testing.assert_allclose(got, slope(scale, x), rtol=tolerance)


@pytest.mark.parametrize("scale", [1e-9, 1e-5, 1.0, 1e3])
@pytest.mark.parametrize("low", [-np.inf, 0.0])
@pytest.mark.parametrize(("jac", "tolerance"), [("2-point", 1e-2), ("3-point", 1e-4)])
def test_a_probe_finds_the_step_at_zero(scale, low, jac, tolerance):
    box = None if low == -np.inf else _box(low)
    problem = Function(bowl(scale), jac, (), np.zeros(2), box)
    np.testing.assert_allclose(problem.grad(np.zeros(2))[0], -4.0 / scale, rtol=tolerance)


def _box(low):
    from gradopt._numerics.bounds import Box

    return Box(np.full(2, low), np.full(2, np.inf), np.ones(2))


def probed(fun, x=0.0, up=np.inf, down=np.inf, relative=6e-6):
    calls = 0

    def counted(outside, at):
        nonlocal calls
        calls += 1
        return fun(at[0])

    at, start = np.zeros(1), np.array([x])
    scale, told = probed_scale(counted, (), (), at, start, 0, up, down, fun(x), relative)
    assert told == calls
    return scale * relative


class TestProbe:
    @pytest.mark.parametrize("size", [1e-150, 1e-9, 1.0, 1e9])
    @pytest.mark.parametrize("steepness", [1e-6, 1e-3, 1.0, 1e3, 1e9])
    def test_changes_the_objective_a_little(self, size, steepness):
        def fun(v):
            with np.errstate(over="ignore"):
                return size * np.exp(steepness * v)

        change = abs(fun(probed(fun)) - fun(0.0)) / size
        assert 1e-8 <= change <= 1e-3 or steepness == 1e-6

    @pytest.mark.parametrize(("up", "down"), [(1e-9, 0.0), (0.0, 1e-9), (1e-9, 1e-10), (0.0, np.inf)])
    def test_stays_within_bounds(self, up, down):
        def fun(v):
            assert -down <= v <= up
            return 1.0 + v

        assert probed(fun, up=up, down=down) > 0.0

    @pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
    def test_of_no_size_is_one(self, value):
        assert probed(lambda v: value + 0.0 * v) == 6e-6

    def test_of_a_parameter_without_influence_is_one_and_stays_near(self):
        seen = []

        def fun(v):
            seen.append(v)
            return 2.0

        assert probed(fun) == 6e-6
        assert max(seen) <= 1.0

    def test_ends_where_the_function_jumps(self):
        assert probed(lambda v: 1.0 if v == 0.0 else 2.0) > 0.0
        assert probed(lambda v: 1.0 if v == 0.0 else np.nan) > 0.0
        assert probed(lambda v: 1.0 + (v > 0.1)) > 0.0

    def test_ends_at_rounding(self):
        rng = np.random.default_rng(0)
        assert probed(lambda v: 1e-20 + (v != 0.0) * 1e-16 * (1.0 + rng.random())) > 0.0


def garch(p, returns):
    variance = np.zeros(len(returns))
    variance[0] = np.var(returns)
    for t in range(1, len(returns)):
        variance[t] = p[0] + p[1] * returns[t - 1] ** 2 + p[2] * variance[t - 1]
    return 0.5 * np.sum(np.log(variance) + returns**2 / variance)


def test_a_garch_model_ends_where_its_scaled_form_does():
    rng = np.random.default_rng(5)
    returns = np.zeros(300)
    variance = 1e-4
    for t in range(300):
        returns[t] = np.sqrt(variance) * rng.standard_normal()
        variance = 1e-5 + 0.15 * returns[t] ** 2 + 0.75 * variance
    x0 = np.array([2e-5, 0.1, 0.7])
    bounds = [(1e-8, None), (0.0, 1.0), (0.0, 1.0)]
    ours = optimize(garch, x0, bounds=bounds, args=(returns,))
    scaled = minimize(
        lambda q: garch(q * x0, returns),
        np.ones(3),
        bounds=[(low / s, None) for (low, _), s in zip(bounds, x0, strict=False)],
    )
    assert ours.fun <= scaled.fun + 1e-5 * abs(scaled.fun)


class TestScales:
    """The scales are the largest values that the run has had, and part of its state."""

    def evaluate(self, problem, work, *points):
        from gradopt._core.protocol import note_iterate, value_and_grad

        for x in points:
            grad = np.empty_like(x)
            value_and_grad(problem.lower(), grad, work, x)
            note_iterate(problem.lower(), work, x)
        return work[x.size : 2 * x.size]

    @pytest.mark.parametrize("jac", [None, "3-point"])
    def test_are_the_largest_absolute_values(self, jac):
        problem = Function(lambda x: np.sum(x**2), jac, (), np.ones(2))
        work = workspace(2, np.float64)
        scales = self.evaluate(problem, work, np.array([1.0, -2.0]), np.array([-3.0, 1.0]), np.array([0.5, 0.0]))
        np.testing.assert_array_equal(scales, [3.0, 2.0])

    @pytest.mark.parametrize("jac", [None, "3-point", "2-point"])
    @pytest.mark.parametrize("method", [LBFGS(), SGD(1e-3), SGD(1e-3, momentum=0.9)])
    @pytest.mark.parametrize("x0", [[1.5, -0.8], [0.0, 0.0]])
    def test_are_resumed(self, jac, method, x0):
        def fun(x):
            return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2 if x[:1][x[:1] < 1e9].size else 0.0

        settings = {"jac": jac, "gtol": 0.0, "ftol": 0.0}
        whole = optimize(fun, x0, method=method, max_iter=12, **settings)
        part = optimize(fun, x0, method=method, max_iter=5, **settings)
        rest = optimize(fun, state=part.state, max_iter=7, **settings)
        np.testing.assert_array_equal(rest.x, whole.x)
        assert part.state.problem_memory[0] > 0.0

    def test_are_saved(self, tmp_path):
        import gradopt

        part = optimize(lambda x: np.sum(x**2) if x[:1][x[:1] < 9].size else 0.0, [1.5, 0.0], max_iter=1)
        part.save(tmp_path / "run.npz")
        loaded = gradopt.load(tmp_path / "run.npz")
        np.testing.assert_array_equal(loaded.state.problem_memory, part.state.problem_memory)

    def test_of_another_problem_are_not_taken(self):
        part = optimize(lambda x: np.sum(x**2) if x[:1][x[:1] < 9].size else 0.0, [1.5, 0.5], max_iter=1)
        rest = optimize(problems.Quadratic(np.eye(2)), state=part.state)
        assert rest.success


def saturation(t, p):
    return p[0] * t / (p[1] + t) + p[2]


class TestCurveFit:
    t = np.linspace(0.1, 3.0, 12)

    @pytest.mark.parametrize("unit", [1e-9, 1e-4, 1.0, 1e5])
    def test_gradients_are_right_at_any_scale(self, unit):
        p = np.array([2.0 * unit, 0.7, 0.1 * unit])
        problem = problems.CurveFit(saturation, self.t, 1.1 * saturation(self.t, p))
        x = np.array([1.5 * unit, 0.5, 0.2 * unit])
        residual = saturation(self.t, x) - problem.y
        jacobian = np.stack([self.t / (x[1] + self.t), -x[0] * self.t / (x[1] + self.t) ** 2, np.ones_like(self.t)])
        np.testing.assert_allclose(problem.grad(x), 2.0 * jacobian @ residual / self.t.size, rtol=1e-8)

    @pytest.mark.parametrize("unit", [1e-9, 1e-4, 1.0])
    def test_and_at_zero(self, unit):
        problem = problems.CurveFit(saturation, self.t, unit * saturation(self.t, [2.0, 0.7, 0.3]))
        x = np.array([2.0 * unit, 0.7, 0.0])
        wanted = 2.0 * np.mean(saturation(self.t, x) - problem.y)
        assert problem.grad(x)[2] == pytest.approx(wanted, rel=1e-6)

    def test_is_resumed_with_the_same_bits(self):
        problem = problems.CurveFit(saturation, self.t, saturation(self.t, [2.0, 0.7, 0.3]))
        for settings in (
            {"method": LBFGS(), "gtol": 0.0, "ftol": 0.0},
            {"method": SGD(0.05), "batch_size": 5, "rng": 3},
        ):
            whole = optimize(problem, [1.0, 1.0, 0.0], max_iter=10, **settings)
            part = optimize(problem, [1.0, 1.0, 0.0], max_iter=4, **settings)
            later = {name: value for name, value in settings.items() if name in ("gtol", "ftol")}
            rest = optimize(problem, state=part.state, max_iter=6, **later)
            np.testing.assert_array_equal(rest.x, whole.x)

    def test_a_start_that_is_too_short_or_too_long(self):
        problem = problems.CurveFit(saturation, self.t, self.t)
        with pytest.raises(ValueError, match="x0 has 2 elements, and the model takes more: index 2 is out of bounds"):
            optimize(problem, [1.0, 1.0])
        with pytest.warns(RuntimeWarning, match=r"x0\[3\], x0\[5\] do not change the model"):
            optimize(problems.CurveFit(lambda t, p: saturation(t, p) + p[4], self.t, self.t), np.ones(6), max_iter=1)
