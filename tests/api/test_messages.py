"""What a user is told who made one of the mistakes that are made: the message names the remedy."""

import contextlib

import numpy as np
import pytest

from gradopt import (
    LBFGS,
    SGD,
    Adam,
    Dense,
    Network,
    ReduceOnPlateau,
    Status,
    StepDecay,
    TraceError,
    check_gradient,
    checkpoint,
    compiled,
    every,
    load,
    optimize,
    problems,
)
from gradopt._compiler import COMPILING
from gradopt._core import validate

from marks import compiled_only

X = np.random.default_rng(4).normal(size=(12, 3))
NETWORK = Network([Dense(3, 2)])


def cone(x):
    return np.sqrt(x[0] ** 2 + x[1] ** 2) + x[0]


def with_a_jump(x):
    return float(np.floor(3.0 * x[0])) + x[0] ** 2 if x[:1][x[:1] == x[:1]].size else 0.0


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda: problems.Rosenbrock().value(0.0), r"write \[0.0\]"),
        (lambda: optimize(lambda x: (x - 1.0) ** 2, [0.0, 1.0]), "use np.sum or one element"),
        (lambda: problems.Rosenbrock().value(optimize(problems.Rosenbrock(), max_iter=0)), "pass its x"),
        (lambda: problems.Classifier(NETWORK, X, np.ones(12)), r"use y.astype\(int\)"),
        (lambda: problems.Classifier(NETWORK, X, ["a", "b"] * 6), r"numpy.unique\(y, return_inverse=True\)"),
        (lambda: problems.Classifier(NETWORK, X, np.eye(12, 2, dtype=int)), r"y.argmax\(axis=1\)"),
        (lambda: optimize(problems.Rosenbrock(), np.ma.array([1.0, 2.0], mask=[0, 1])), "x0 .* masked elements"),
        (lambda: optimize(problems.Rosenbrock(), gtol=10**400), "gtol must be finite"),
        (lambda: Adam(betas={0.9, 0.99}), "betas must be two numbers"),
        (lambda: Adam(betas=np.array(0.9)), "betas must be two numbers"),
        (lambda: Adam().step(X[0], X[1], SGD().init(X[0])), "state must be the result of Adam.init"),
        (lambda: SGD().step(X[0], X[1], None), "state must be the result of SGD.init, got None"),
        (lambda: SGD(ReduceOnPlateau(0.1)).init(X[0]), "learning_rate must be a pure function of the update count"),
        (lambda: StepDecay(0.1, 5)(2**63), r"k must be < 2\*\*63"),
        (lambda: compiled(problems.Rosenbrock(), "banana"), "dtype must be float32 or float64, got 'banana'"),
    ],
)
def test_the_remedy_is_named(call, remedy):
    with pytest.raises((TypeError, ValueError), match=remedy):
        call()


def test_forgotten_arguments():
    with pytest.raises(TypeError, match="missing 1 required") as caught:
        optimize(lambda x, c: (x[0] - c) ** 2, [0.0])
    assert "args=" in caught.value.__notes__[0]


def test_a_python_file_is_no_saved_result():
    with pytest.raises(ValueError, match="not a saved result$"):
        load(__file__)


def test_where_only_the_traced_gradient_is_not_finite():
    assert "at x0 its gradient would be NaN or infinite" in optimize(cone, [0.0, 0.0], max_iter=1).message
    assert "reverse mode" in optimize(cone, [1.0, 2.0], max_iter=1).message  # there it is finite
    insisted = optimize(cone, [0.0, 0.0], jac="trace")
    assert insisted.status == Status.NON_FINITE
    assert "the gradient is NaN or infinite at the start x0, where the objective is finite" in insisted.message
    assert "another jac" in insisted.message


def test_the_gradient_of_a_function_without_jac_is_that_of_its_trace():
    assert check_gradient(lambda x: np.sum(np.exp(x)), [0.5, 1.0])
    with pytest.raises(TraceError, match="float"):
        check_gradient(with_a_jump, [0.5])


def test_a_failed_search_names_the_gradient_only_where_it_can_be_wrong():
    wrong = optimize(lambda x: x[0] ** 2, [1.0], jac=lambda x: -2.0 * x)
    assert wrong.status == Status.LINE_SEARCH
    assert "check_gradient" in wrong.message
    jump = optimize(with_a_jump, [2.0], jac="3-point", ftol=0.0, gtol=0.0)
    assert "kink or a jump" in jump.message
    assert "check_gradient" not in jump.message


@compiled_only
def test_a_gradient_as_a_list_runs_interpreted():
    def slope(x):
        return [4.0 * x[0] ** 3]

    with pytest.warns(RuntimeWarning, match=r"slope: TypeError: .* list.*return np.array") as caught:
        optimize(lambda x: x[0] ** 4, [1.0], jac=slope, method="sgd", gtol=0, max_iter=600)
    assert str(caught[0].message).count("\n") == 0


@compiled_only
def test_numbas_complaint_in_one_line():
    def fun(x):
        return np.array(x, dtype=float)[0] ** 2

    with pytest.warns(RuntimeWarning, match="No implementation of .*, at `return np.array") as caught:
        optimize(fun, [1.0], jac="3-point")
    assert str(caught[0].message).count("\n") == 0


def test_every_counts_epochs_on_training_runs(tmp_path):
    problem = problems.Classifier(NETWORK, X, np.arange(12) % 2)
    save = every(100, checkpoint(tmp_path / "run.npz"))
    with pytest.warns(RuntimeWarning, match=r"every\(100, ...\) is never called in 40 epochs; .* not updates"):
        optimize(problem, method=SGD(0.1), batch_size=3, epochs=40, callback=save, rng=0)


@pytest.mark.parametrize("numbers", [[1e200, -1e200], np.full(3, 1e30, np.float32), np.full(100, 1e308)])
def test_numbers_whose_squares_overflow_are_finite(numbers):
    assert (validate.array("x0", numbers, 1) == numbers).all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: optimize(np.sum, [1.0], tol=1e-8), "no argument tol; write gtol, or ftol"),
        (lambda: optimize(np.sum, [1.0], options={"maxiter": 5}), "no argument options; write its entries"),
        (lambda: optimize(np.sum, [1.0], maxiter=5), "no argument maxiter; write max_iter"),
        (lambda: optimize(np.sum, [1.0], constraints=()), "no argument constraints; write bounds"),
        (lambda: optimize(np.sum, p0=[1.0]), "no argument p0; write x0"),
        (lambda: optimize(np.sum, [1.0], lr=0.1), r"write it as an argument of the method: method=SGD"),
        (lambda: optimize(np.sum, [1.0], learning_rate=0.1), r"write it as an argument of the method: method=SGD"),
        (lambda: optimize(np.sum, [1.0], colour=1), "no argument colour$"),
        (lambda: SGD(lr=0.1), "SGD() has no argument lr; write learning_rate"),
        (lambda: LBFGS(maxcor=5), "LBFGS() has no argument maxcor; write memory"),
        (lambda: Adam(0.1, beta_1=0.9), "write betas"),
    ],
)
def test_words_of_other_packages(call, says):
    with pytest.raises(TypeError, match=says.replace("()", r"\(\)")):
        call()


@pytest.mark.parametrize("method", ["L-BFGS-B", "trust-ncg", "CG", "TNC", "slsqp"])
def test_methods_of_scipy(method):
    with pytest.raises(ValueError, match=f"for '{method}' take '"):
        optimize(np.sum, [1.0], method=method)


@pytest.mark.parametrize("jac", [None, "trace", "3-point", True, lambda x: 2.0 * (x - 2.0)])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_number_as_x0_and_a_result_of_size_1(jac, shape):
    def fun(x):
        value = np.sum((x - 2.0) ** 2) * np.ones(shape)
        return (value, 2.0 * (x - 2.0)) if jac is True else value

    interpreted = COMPILING and shape and jac == "3-point"  # which is compiled at once, and returns numbers then
    with pytest.warns(RuntimeWarning, match="runs interpreted") if interpreted else contextlib.nullcontext():
        result = optimize(fun, 1, jac=jac, method="lbfgs")
    assert result.x.tolist() == pytest.approx([2.0])
    assert result.fun == pytest.approx(0.0, abs=1e-12)
