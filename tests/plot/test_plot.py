import math
import subprocess
import sys

import numpy as np
import pytest

import gradopt
from gradopt import SGD, Adam, Network, optimize, problems

plt = pytest.importorskip("matplotlib.pyplot")

VALLEY = problems.Rosenbrock(b=1.0)


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture
def run():
    return optimize(VALLEY, [2.0, 2.0], method=SGD(0.1), max_iter=20, record="x")


def lines_of(axes):
    return [line.get_xydata() for line in axes.get_lines()]


@pytest.mark.slow
def test_without_matplotlib_the_extra_is_named():
    code = (
        "import sys; sys.modules['matplotlib'] = sys.modules['matplotlib.pyplot'] = None\n"
        "import gradopt\n"
        "try: gradopt.plot.schedule(0.1, 5)\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "gradopt.plot needs matplotlib: pip install 'gradopt[plot]'"


@pytest.mark.slow
def test_importing_gradopt_imports_no_matplotlib():
    code = "import sys, gradopt; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


class TestHistory:
    def test_has_what_was_recorded(self, run):
        figure = gradopt.plot.history(run)
        np.testing.assert_array_equal(lines_of(figure.axes[0])[0].T, [run.history.nit, run.history.fun])
        assert figure.axes[0].get_yscale() == "log"  # from 5 to 0.01
        assert figure.axes[2].get_yscale() == "linear"  # all 0.1

    def test_several_runs_are_told_apart(self, run):
        figure = gradopt.plot.history(run, run, labels=["one", "other"])
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "other"]
        assert len(lines_of(figure.axes[0])) == 2

    def test_validation_stands_beside_training(self, rng):
        X = rng.normal(size=(40, 3))
        problem = problems.Classifier(Network.mlp([3, 4, 2]), X, (X[:, 0] > 0).astype(int))
        result = optimize(problem, method=Adam(0.01), epochs=3, batch_size=8, rng=0, validation=(X, problem.y))
        figure = gradopt.plot.history(result)
        names = ["objective", "gradient norm", "learning rate", "accuracy on validation rows"]
        assert [axes.get_ylabel() for axes in figure.axes] == names
        np.testing.assert_array_equal(lines_of(figure.axes[0])[1][:, 1], result.history.val_fun)

    def test_draws_where_it_is_told(self, run):
        figure, other = plt.figure(), plt.figure()
        assert gradopt.plot.history(run, figure=figure) is figure
        assert len(figure.axes) == 3
        assert not other.axes

    @pytest.mark.parametrize(
        ("results", "labels", "message"),
        [
            ((), None, "a result must be given"),
            ((3,), None, "results must be OptimizeResult objects from optimize, got 3"),
            ((None, None), ["a"], "results must be"),
        ],
    )
    def test_bad_arguments(self, results, labels, message):
        with pytest.raises(TypeError, match=message):
            gradopt.plot.history(*results, labels=labels)

    def test_nothing_recorded(self):
        with pytest.raises(ValueError, match="run optimize with record='scalars'"):
            gradopt.plot.history(optimize(VALLEY, [2.0, 2.0], record=None))

    def test_too_few_labels(self, run):
        with pytest.raises(ValueError, match="labels must have one label per result, 2, got 1"):
            gradopt.plot.history(run, run, labels=["one"])


class TestPath:
    def test_two_parameters(self, run):
        axes = gradopt.plot.path(VALLEY, run, quiver=True)
        np.testing.assert_array_equal(lines_of(axes)[0], run.history.x)
        assert axes.get_xlim()[0] < 1.0 < 2.0 < axes.get_xlim()[1]

    def test_one_parameter(self):
        wells = problems.DoubleWell()
        run = optimize(wells, [2.0], method=SGD(0.01), max_iter=30, record="x")
        axes = gradopt.plot.path(wells, run)
        np.testing.assert_array_equal(lines_of(axes)[1].T, [run.history.x[:, 0], run.history.fun])

    def test_a_window_and_axes_of_ones_own(self, run):
        _, axes = plt.subplots()
        assert gradopt.plot.path(VALLEY, run, run, labels=["a", "b"], ax=axes, window=[(-2, 3), (0, 4)]) is axes
        assert axes.get_ylim() == (0, 4)

    def test_traced_functions(self):
        problem = gradopt.trace(lambda x: np.log(1.0 + x @ x), [2.0, 1.0])
        assert gradopt.plot.path(problem, optimize(problem, record="x")).get_xlabel() == "x[0]"

    @pytest.mark.parametrize("fun", [lambda x: x[0] ** 2 + x[1] ** 2, lambda x: float(str(x[0])) ** 2 + x[1] ** 2])
    def test_plain_functions(self, fun):
        run = optimize(lambda x: x[0] ** 2 + x[1] ** 2, [2.0, 1.0], record="x")
        axes = gradopt.plot.path(fun, run)
        np.testing.assert_array_equal(lines_of(axes)[0], run.history.x)

    def test_plain_functions_of_a_number(self):
        axes = gradopt.plot.path(lambda x: x**2, optimize(lambda x: x**2, 2.0, record="x"), quiver=True)
        steps, heights = lines_of(axes)[0].T
        np.testing.assert_allclose(heights, steps**2)

    def test_functions_that_return_their_gradient_too_are_drawn(self):
        def fun(x):
            return x @ x, 2.0 * x

        assert gradopt.plot.path(fun, optimize(fun, [2.0, 1.0], jac=True, record="x"), quiver=True).get_lines()
        gradopt.plot.landscape(fun, [2.0, 1.0])

    def test_where_a_function_of_python_is_not_defined_is_a_hole(self):
        axes = gradopt.plot.landscape(lambda x: math.log(x[0]) ** 2, [0.1], directions=[[1.0]], span=1.0)
        heights = axes.get_lines()[0].get_ydata()
        assert np.isnan(heights).any()
        assert np.isfinite(heights).any()

        def of_two(x):
            return math.log(x[0]) ** 2 + (x[1] - 2.0) ** 2

        gradopt.plot.landscape(of_two, [0.1, 2.0])
        run = optimize(of_two, [0.5, 1.0], record="x")
        gradopt.plot.path(of_two, run, quiver=True, window=[(-1.0, 2.0), (0.0, 3.0)])

    def test_functions_that_are_more_than_fun_of_x(self):
        def scaled(x, factor):
            return factor * np.sum(x**2)

        run = optimize(scaled, [2.0, 1.0], args=(3.0,), record="x")
        with pytest.raises(
            TypeError, match=r"drawn as fun\(x\): .*'factor'. One with other arguments is drawn as lambda x"
        ):
            gradopt.plot.path(scaled, run)
        np.testing.assert_array_equal(lines_of(gradopt.plot.path(run.problem, run))[0], run.history.x)
        with pytest.raises(TypeError, match="problem must be a Problem, or a function"):
            gradopt.plot.path(run, run)
        with pytest.raises(ValueError, match='record="x"'):
            gradopt.plot.path(lambda x: x @ x, optimize(lambda x: x @ x, [2.0, 2.0]))

    def test_starts_ends_and_minima_are_marked_and_named(self, run):
        axes = gradopt.plot.path(VALLEY, run, run, labels=["one", "other"], quiver=True)
        marks = {line.get_label(): line.get_xydata()[-1] for line in axes.get_lines()[:-1]}
        np.testing.assert_array_equal(marks["start"], [2.0, 2.0])
        np.testing.assert_array_equal(marks["end"], run.history.x[-1])
        np.testing.assert_array_equal(marks["minimum"], [1.0, 1.0])
        names = [text.get_text() for text in axes.get_legend().get_texts()]
        assert names == ["one", "start", "end", "other", "minimum", "steepest descent"]

    def test_colours_of_ones_own(self, run):
        assert gradopt.plot.path(VALLEY, run, colors=["C2"]).get_lines()[0].get_color() == "C2"
        with pytest.raises(ValueError, match="colors must have one colour per result, 1, got 2"):
            gradopt.plot.path(VALLEY, run, colors=["C2", "C3"])

    def test_where_the_objective_is_not_defined(self):
        problem = gradopt.trace(lambda x: x[0] * np.log(x[0]) + x[1] ** 2, [2.0, 1.0])
        gradopt.plot.path(problem, optimize(problem, record="x"), window=[(-1, 2), (-1, 1)])
        with pytest.raises(ValueError, match="finite nowhere"):
            gradopt.plot.path(problem, optimize(problem, record="x"), window=[(-2, -1), (-1, 1)])

    @pytest.mark.parametrize(
        ("keywords", "message"),
        [
            ({"window": [(0, 1)]}, r"window must be 2 pairs"),
            ({"window": [(0, 1), (1, 0)]}, r"window must be 2 pairs"),
        ],
    )
    def test_bad_arguments(self, run, keywords, message):
        with pytest.raises(ValueError, match=message):
            gradopt.plot.path(VALLEY, run, **keywords)

    def test_says_why_not(self, run):
        with pytest.raises(ValueError, match='record="x"'):
            gradopt.plot.path(VALLEY, optimize(VALLEY, [2.0, 2.0]))
        many = problems.Rosenbrock(n=5)
        with pytest.raises(ValueError, match="one or two parameters, got 5; plot.landscape"):
            gradopt.plot.path(many, optimize(many, np.zeros(5), max_iter=2, record="x"))
        with pytest.raises(TypeError, match="ax must be matplotlib Axes, got 3"):
            gradopt.plot.path(VALLEY, run, ax=3)


class TestLandscape:
    def test_is_the_objective_along_the_directions(self):
        problem = problems.Rosenbrock(n=3)
        axes = gradopt.plot.landscape(problem, np.ones(3), directions=[[1.0, 0.0, 0.0]], span=1.0)
        steps, heights = lines_of(axes)[0].T
        np.testing.assert_allclose(heights, [problem.value([1 + step, 1, 1]) for step in steps])

    def test_of_networks(self, rng):
        X = rng.normal(size=(20, 3))
        problem = problems.Classifier(Network.mlp([3, 4, 2]), X, (X[:, 0] > 0).astype(int))
        assert gradopt.plot.landscape(problem, problem.start(0)).get_ylabel() == "along direction 2"

    @pytest.mark.parametrize(
        ("keywords", "message"),
        [
            ({"directions": np.ones((3, 2))}, r"directions must have the shape \(1, 2\) or \(2, 2\)"),
            ({"span": 0.0}, "span must be finite and > 0"),
            ({"x": [1.0]}, "x must have 2 elements"),
        ],
    )
    def test_bad_arguments(self, keywords, message):
        with pytest.raises(ValueError, match=message):
            gradopt.plot.landscape(VALLEY, **{"x": [1.0, 1.0]} | keywords)

    def test_plain_functions(self):
        axes = gradopt.plot.landscape(lambda x: x[0] ** 2, [1.0], directions=[[1.0]], span=1.0)
        steps, heights = lines_of(axes)[0].T
        np.testing.assert_allclose(heights, (1.0 + steps) ** 2)
        assert [text.get_text() for text in axes.texts] == ["x"]

    def test_anything_else_is_refused(self):
        with pytest.raises(TypeError, match=r"problem must be a Problem, or a function fun\(x\) -> float, got 3"):
            gradopt.plot.landscape(3, [1.0])


class TestFit:
    @pytest.mark.parametrize(
        ("problem", "start"),
        [
            (problems.PolynomialFit([0.0, 1.0, 2.0], [1.0, 2.0, 5.0]), None),
            (problems.CurveFit(lambda t, p: p[0] * t, [1.0, 2.0], [2.0, 4.0]), [0.0]),
            (problems.Regressor(Network.mlp([1, 2, 1]), np.array([[0.0], [1.0]]), np.array([0.0, 1.0])), np.ones(7)),
        ],
        ids=["polynomial", "curve", "network"],
    )
    def test_draws_data_and_model(self, problem, start):
        result = optimize(problem, start, method=SGD(0.05), max_iter=30, record="x")
        axes = gradopt.plot.fit(problem, result, moments=3)
        labels = axes.get_legend_handles_labels()[1]
        assert labels[0] == "data"
        assert labels[1].startswith("update 0:")
        assert labels[-1].startswith(f"update {result.nit}:")

    def test_without_iterates_the_end(self):
        problem = problems.PolynomialFit([0.0, 1.0, 2.0], [1.0, 2.0, 5.0])
        assert len(lines_of(gradopt.plot.fit(problem, optimize(problem)))) == 2

    def test_says_why_not(self, run):
        with pytest.raises(TypeError, match="plot.fit draws a PolynomialFit, a CurveFit.*got Rosenbrock"):
            gradopt.plot.fit(VALLEY, run)


class TestSchedule:
    def test_draws_the_rates(self):
        axes = gradopt.plot.schedule(gradopt.StepDecay(0.4, every=2), 5)
        np.testing.assert_allclose(lines_of(axes)[0][:, 1], [0.4, 0.4, 0.04, 0.04, 0.004])
        np.testing.assert_array_equal(lines_of(gradopt.plot.schedule(0.1, 3))[0][:, 1], [0.1] * 3)

    def test_says_why_not(self):
        with pytest.raises(ValueError, match="must be a pure function of the update count"):
            gradopt.plot.schedule(gradopt.ReduceOnPlateau(0.1), 10)
        with pytest.raises(ValueError, match="n must be an integer >= 1"):
            gradopt.plot.schedule(0.1, 0)


def test_results_show_themselves_in_notebooks(run):
    table = run._repr_html_()
    assert table.startswith("<table><tr><th>no success, MAX_ITER</th>")
    assert "max_iter=20" in table
    assert "<script" not in optimize(VALLEY, [2.0, 2.0])._repr_html_()


class TestMaps:
    def fits(self):
        t = np.linspace(0.0, 2.0, 9)
        Y = 3.0 * np.exp(-np.linspace(0.5, 1.5, 12).reshape(3, 4)[..., None] * t)
        Y[1, 2] = np.nan
        return gradopt.fit_many(lambda t, amount, rate: amount * np.exp(-rate * t), t, Y, [1.0, 1.0], fixed=None)

    def test_panels(self):
        axes = gradopt.plot.maps(self.fits())
        assert [ax.get_title() for ax in axes] == ["amount", "rate", "error of amount", "error of rate", "status"]
        shown = np.ma.getmaskarray(np.ma.masked_invalid(axes[1].images[0].get_array()))
        assert shown.sum() == 1
        labels = [label.get_text() for label in axes[-1].images[0].colorbar.ax.get_yticklabels()]
        assert any(label.startswith("NO_DATA\n1") for label in labels)
        assert len(gradopt.plot.maps(self.fits(), names=["rate"])) == 3

    def test_mistakes(self):
        with pytest.raises(TypeError, match="fits must be ManyFits"):
            gradopt.plot.maps(3)
        with pytest.raises(ValueError, match="two axes"):
            gradopt.plot.maps(self.fits()[0])
        with pytest.raises(ValueError, match="names must be parameters"):
            gradopt.plot.maps(self.fits(), names=["speed"])


class TestAnimate:
    def test_balls_follow_their_runs_to_the_end(self, tmp_path):
        runs = [optimize(VALLEY, [2.0, 2.0], method=SGD(rate), max_iter=30, record="x") for rate in (0.02, 0.1)]
        film = gradopt.plot.animate(VALLEY, runs, labels=["slow", "fast"], frames=7)
        (axes,) = film._fig.axes
        balls = [line for line in axes.get_lines() if line.get_markersize() == 9]
        for ball, run in zip(balls, runs, strict=True):
            np.testing.assert_allclose(np.ravel(ball.get_data()), run.history.x[-1])
        assert axes.get_title() == "update 30"
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["slow", "start", "fast", "minimum"]
        film.save(tmp_path / "valley.gif", writer="pillow")
        assert (tmp_path / "valley.gif").read_bytes().startswith(b"GIF")

    def test_the_first_picture_shows_the_start_and_long_runs_are_thinned_out(self, tmp_path):
        run = optimize(problems.DoubleWell(), [1.4], method=SGD(0.001), max_iter=500, gtol=0, record="x")
        film = gradopt.plot.animate(run, frames=20)
        assert 10 <= film._save_count <= 21
        film._func(0)
        ball = [line for line in film._fig.axes[0].get_lines() if line.get_markersize() == 9][-1]
        np.testing.assert_allclose(np.ravel(ball.get_data()), [1.4, run.history.fun[0]])
        film.save(tmp_path / "wells.gif", writer="pillow")

    def test_plain_functions(self, tmp_path):
        run = optimize(lambda x: x[0] ** 2 + x[1] ** 2, [2.0, 1.0], record="x")
        film = gradopt.plot.animate(lambda x: x[0] ** 2 + x[1] ** 2, run, frames=4)
        assert film._fig.axes[0].get_title() == f"update {run.nit}"
        film.save(tmp_path / "bowl.gif", writer="pillow")

    def test_a_fit_approaches_its_data(self, tmp_path):
        t = np.linspace(0.0, 1.0, 9)
        run = optimize(problems.PolynomialFit(t, 1.0 + 2.0 * t, 1), method=SGD(0.3), max_iter=200, record="x")
        film = gradopt.plot.animate(run, frames=6)
        (axes,) = film._fig.axes
        curve = axes.get_lines()[1]
        np.testing.assert_allclose(curve.get_ydata(), np.polyval(run.x, curve.get_xdata()))
        assert axes.get_title().startswith(f"update {run.nit}, loss ")
        film._func(0)
        np.testing.assert_array_equal(curve.get_ydata(), 0.0)
        film.save(tmp_path / "fit.gif", writer="pillow")

    def test_mistakes(self):
        run = optimize(VALLEY, [2.0, 2.0], method=SGD(0.02), max_iter=5)
        with pytest.raises(ValueError, match="no iterates"):
            gradopt.plot.animate(VALLEY, run)
        with pytest.raises(TypeError, match="a result must be given"):
            gradopt.plot.animate(VALLEY)
        with pytest.raises(TypeError, match="or a result alone"):
            gradopt.plot.animate(run, run)
        recorded = optimize(VALLEY, [2.0, 2.0], method=SGD(0.02), max_iter=5, record="x")
        with pytest.raises(ValueError, match="frames must be an integer >= 2"):
            gradopt.plot.animate(VALLEY, recorded, frames=1)
