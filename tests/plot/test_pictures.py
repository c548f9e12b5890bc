"""The structure of pictures: axes and curves have names, legends hide nothing, equal names have equal colours.

The pictures of the examples are checked where the examples are run, in tests/test_examples.py.
"""

import runpy
from pathlib import Path

import numpy as np
import pytest

from gradopt import SGD, Contour, InverseTimeDecay, ManyFits, Network, Profile, curve_fit, optimize, plot, problems

plt = pytest.importorskip("matplotlib.pyplot")

from pictures import faults

COURSE = sorted((Path(__file__).parents[2] / "examples" / "course").glob("*.py"))
VALLEY, WELLS = problems.Rosenbrock(b=1.0), problems.DoubleWell()
T = np.linspace(0.0, 2.0, 9)


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def runs_of(problem, start):
    return [optimize(problem, start, method=SGD(rate), max_iter=20, record="x") for rate in (0.01, 0.02)]


def fitted():
    return curve_fit(lambda t, a, b: a * t + b, T, 2.0 * T + 0.1 * np.sin(20.0 * T), [1.0, 1.0])


def a_profile():
    values = np.linspace(-2.0, 1.5, 9)
    return Profile("rate", 0.95, -2.0, 1.5, (True, True), values, values**2, values[:, None], 0.0, 4.0, (-1.7, 1.7))


def a_contour():
    around = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)
    ellipse = np.column_stack([2.0 * np.cos(around), np.sin(around)])
    return Contour(("amount", "rate"), 0.95, ellipse + 0.1 * ellipse**2, True, ellipse, np.zeros(2))


def trained():
    X = np.random.default_rng(0).normal(size=(40, 3))
    problem = problems.Classifier(Network.mlp([3, 4, 2]), X, (X[:, 0] > 0).astype(int))
    return optimize(problem, method=SGD(0.1), epochs=5, batch_size=8, rng=0, validation=(X, problem.y))


def line():
    problem = problems.PolynomialFit(T, 1.0 + 2.0 * T, 1)
    return problem, optimize(problem, method=SGD(0.1), max_iter=30, record="x")


def images():
    fits = ManyFits.empty((3, 4), ("amount", "rate"), (0, 1), np.float64, "stderr", "lanes")
    fits.x[:], fits.stderr[:], fits.status[:2] = np.arange(24.0).reshape(3, 4, 2), 1.0, 0
    return fits


def two_schedules():
    axes = plot.schedule(0.1, 10, label="constant")
    return plot.schedule(InverseTimeDecay(0.1, decay=0.1), 10, ax=axes, label="decaying")


DRAWN = {
    "history": lambda: plot.history(*runs_of(VALLEY, [2.0, 2.0]), labels=["slow", "fast"]),
    "history of training": lambda: plot.history(trained()),
    "path": lambda: plot.path(VALLEY, *runs_of(VALLEY, [2.0, 2.0]), quiver=True),
    "path on a curve": lambda: plot.path(WELLS, *runs_of(WELLS, [2.0])),
    "path in axes that leave no room": lambda: plot.path(WELLS, *runs_of(WELLS, [2.0]), ax=plt.subplots()[1]),
    "landscape": lambda: plot.landscape(VALLEY, [1.0, 1.0]),
    "landscape along a line": lambda: plot.landscape(WELLS, [1.0]),
    "fit": lambda: plot.fit(*line()),
    "schedule": two_schedules,
    "maps": lambda: plot.maps(images())[0],
    "profile": lambda: plot.profile(a_profile()),
    "contour": lambda: plot.contour(a_contour()),
    "a fitted curve": lambda: fitted().plot()[0],
}


def test_every_function_is_drawn():
    elsewhere = {"animate", "corner"}  # below; by examples/likelihood.py
    assert set(plot.__all__) - elsewhere <= {name.split(" ")[0] for name in DRAWN}


@pytest.mark.parametrize("name", DRAWN)
def test_pictures_have_no_faults(name):
    drawn = DRAWN[name]()
    assert faults(getattr(drawn, "figure", drawn)) == []


@pytest.mark.parametrize("draw", [lambda: plot.animate(WELLS, runs_of(WELLS, [2.0])), lambda: plot.animate(line()[1])])
def test_animations_have_no_faults(draw, tmp_path):
    film = draw()
    assert faults(film._fig) == []
    film.save(tmp_path / "film.gif", writer="pillow")


@pytest.mark.slow
@pytest.mark.parametrize("script", COURSE, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive", "ignore:Animation was deleted")
def test_pictures_of_the_course_have_no_faults(script):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: the course is not run")
    with plt.rc_context():
        kept = runpy.run_path(str(script))
        for number in plt.get_fignums():
            assert faults(plt.figure(number)) == []
    del kept


class TestFaults:
    """A picture without faults, and what is found when something in it is not as it should be."""

    @pytest.fixture
    def panels(self):
        with plt.style.context("gradopt.plot.style"):
            figure, panels = plt.subplots(1, 2, layout="constrained")
            for axes in panels:
                axes.plot(T, T, label="up")
                axes.plot(T, -T, label="down")
                axes.set(xlabel="t", ylabel="y")
                axes.legend(loc="center right")
            assert faults(figure) == []
            yield panels

    @pytest.mark.parametrize(
        ("spoil", "found"),
        [
            (lambda axes: axes.set(xlabel=""), "no label on the x axis"),
            (lambda axes: axes.set(ylabel=""), "no label on the y axis"),
            (lambda axes: [panel.get_legend().remove() for panel in axes.figure.axes], "no legend names down, up"),
            (lambda axes: axes.legend(loc="upper right"), "the legend hides the line 'up'"),
            (lambda axes: axes.plot(T, 0.5 * T), "lines without a name"),
            (lambda axes: axes.plot(T, 0.5 * T, label="more", color="k"), "no legend names more"),
            (lambda axes: axes.plot(T, 0.5 * T, color="tab:red"), "colours of the default style"),
            (lambda axes: axes.get_lines()[0].set_color("k"), "'up' has another colour than in another panel"),
            (lambda axes: axes.get_lines()[0].set_color(axes.get_lines()[1].get_color()), "'up' looks like 'down'"),
            (lambda axes: [axes.plot(T, i * T, label=f"{i}") for i in range(6)], "8 lines"),
            (lambda axes: axes.bar([1.8], [0.5]), "the legend hides a bar"),
            (lambda axes: axes.scatter([1.8, 1.9], [0.0, 0.0]), "the legend hides points"),
            (lambda axes: axes.text(1.7, 0.0, "words"), "the legend hides a text"),
            (lambda axes: axes.figure.legend(loc="center", labels=["up"]), "a legend lies over the panel"),
            (lambda axes: axes.set_axis_off(), "an image without a title"),
        ],
    )
    def test_are_found(self, panels, spoil, found):
        spoil(panels[1])
        assert any(found in fault for fault in faults(panels[1].figure)), faults(panels[1].figure)
