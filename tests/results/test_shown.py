"""How results show themselves: the verdict first, digits that mean something, no internals."""

import numpy as np

import gradopt
from gradopt import SGD, Adam, Network, optimize, problems

NET = Network.mlp([2, 3, 2])
X, LABELS = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
CLASSIFIER = problems.Classifier(NET, X, LABELS)


def test_a_success_and_a_failure_are_told_in_the_first_line():
    result = optimize(problems.Rosenbrock(), method="lbfgs")
    lines = str(result).splitlines()
    assert lines[0] == f"success, GTOL: {result.message}"
    assert [line.split()[0] for line in lines[1:7]] == ["problem", "method", "fun", "x", "gradient", "updates"]
    assert all(len(line) < 130 for line in lines)
    assert "State(" not in str(result)
    assert str(optimize(problems.Rosenbrock(), method=SGD(1e-3), max_iter=3)).startswith("no success, MAX_ITER: ")
    assert repr(result) == str(result)


def test_parameters_at_bounds_are_named_with_their_side():
    result = optimize(lambda x: np.sum((x - 1.0) ** 2), np.zeros(9), bounds=[(None, 0.5)] * 8 + [(None, None)])
    (line,) = [line for line in str(result).splitlines() if line.startswith("  at bounds")]
    assert "x[0] (high), x[1] (high)" in line
    assert line.endswith("and 2 more")
    assert "away from bounds, 1.0e+00 in all" in str(result)
    held = optimize(lambda x: np.sum((x - 1.0) ** 2), [0.0, 0.0], bounds=[(0.0, 0.0), (-1.0, 0.0)])
    assert "x[0] (fixed), x[1] (high)" in str(held)
    inside = optimize(lambda x: np.sum(x**2), [1.0, 1.0], bounds=[(-2, 2)] * 2)
    assert "at bounds  none" in str(inside)


def test_training_and_validation_losses_are_told_apart():
    result = optimize(CLASSIFIER, method=Adam(), epochs=3, validation=(X, LABELS), rng=0)
    text = str(result)
    assert f"training loss    {result.fun:.6g}" in text
    assert f"validation loss  {result.history.val_fun.min():.6g} in epoch" in text
    assert ", accuracy " in text
    assert "17 parameters of float64" in text


def test_what_a_callback_gets_and_a_checkpoint_show_themselves_too(tmp_path):
    texts = []

    def look(intermediate_result):
        texts.append(str(intermediate_result))

    save = gradopt.checkpoint(tmp_path / "run.npz")
    optimize(CLASSIFIER, method=Adam(), epochs=2, rng=0, callback=[look, save])
    assert texts[0].startswith("so far\n")
    assert "updates" in str(gradopt.load(tmp_path / "run.npz"))


def test_html_is_escaped():
    result = optimize(lambda x: x @ x, [1.0])  # its name has angle brackets
    assert "&lt;lambda&gt;" in result._repr_html_()
    assert "<lambda>" not in result._repr_html_()


def test_a_saved_run_of_a_network_knows_its_network(tmp_path):
    result = optimize(CLASSIFIER, method=Adam(), epochs=2, rng=0)
    assert result.network == NET
    result.save(tmp_path / "run.npz")
    loaded = gradopt.load(tmp_path / "run.npz")
    assert loaded.network == NET
    np.testing.assert_array_equal(loaded.network.forward(loaded.x, X), NET.forward(result.x, X))
    assert "network" not in optimize(problems.Rosenbrock(), method=SGD(1e-3), max_iter=1)


def test_a_validation_loss_that_was_never_finite_has_no_lowest():
    result = optimize(CLASSIFIER, method=Adam(), epochs=2, validation=(X, LABELS), rng=0)
    result.history.val_fun[:] = np.nan
    assert "validation loss" not in str(result)


class TestLeastSquares:
    @staticmethod
    def fit(**settings):
        t, y = np.arange(4.0), np.array([3.0, 1.8, 1.1, 0.7])
        return gradopt.least_squares(lambda x: x[0] * np.exp(-x[1] * t) - y, [1.0, 1.0], **settings)

    def test_shows_parameters_with_their_errors(self):
        text = str(self.fit())
        assert text.startswith("success, FTOL: ")
        assert "x[0]         2.991 +/- 0.024" in text
        assert "cov" not in text
        assert all(len(line) < 130 for line in text.splitlines())

    def test_names_bounds_and_failures(self):
        assert "(at its upper bound)" in str(self.fit(bounds=([-9, -9], [2.5, 9])))
        assert str(self.fit(max_nfev=2)).startswith("no success, MAX_NFEV")

    def test_is_a_table_in_notebooks(self):
        shown = self.fit()._repr_html_()
        assert shown.startswith("<table><tr><th>success, FTOL</th>")
        assert "&lt;lambda&gt;" in shown


def test_histories_show_their_first_and_last_records():
    history = optimize(problems.Rosenbrock(), method=SGD(1e-3), max_iter=20, gtol=0, record="x").history
    lines = str(history).splitlines()
    assert lines[0].split() == ["nit", "fun", "learning_rate", "grad_norm"]
    assert [line.split()[0] for line in lines[1:]] == ["0", "1", "2", "3", "...", "17", "18", "19", "20"]
    assert len({len(line) for line in lines}) == 1
    assert history._repr_html_().count("<tr>") == 10
    assert repr(history) == "History(21 records of nit, fun, learning_rate, grad_norm, x)"
    assert len(str(optimize(problems.Rosenbrock(), method=SGD(1e-3), max_iter=8, gtol=0).history).splitlines()) == 10
    assert "1234567" in str(gradopt.History(nit=np.array([1_234_567]), fun=np.array([0.5])))
    assert str(optimize(problems.Rosenbrock(), max_iter=3, record=None).history).startswith("History(0 records")


def test_networks_show_their_layers():
    network = Network([gradopt.Dense(16, 8, "relu"), gradopt.Dense(8, 2, bias=False)])
    assert str(network).splitlines() == [
        "16-8-2 network, 152 parameters",
        "  16 to 8  relu      136 parameters",
        "  8 to 2   identity  16 parameters, no bias",
    ]
    assert network._repr_html_().count("<tr>") == 2
    assert eval(repr(network), {"Network": Network, "Dense": gradopt.Dense}) == network
    assert str(Network([gradopt.Dense(1, 1, bias=False)])).startswith("1-1 network, 1 parameter\n")
    deep = str(Network.mlp([3] + [17] * 30 + [2])).splitlines()
    assert deep[0].startswith("3-17-17-17-...-17-17-17-2 network, ")
    assert len(deep) == 10
    assert "... 23 more layers" in deep[5]
