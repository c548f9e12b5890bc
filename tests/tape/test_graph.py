"""Graphs: each thing is computed once, what is known at once, what does nothing not at all."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradopt._tape.graph import graph as graph_module
from gradopt._tape.graph.evaluate import HOW, evaluate
from gradopt._tape.graph.geometry import Geometry, Positions
from gradopt._tape.graph.graph import Copies, Graph
from gradopt._tape.graph.node import TooLong
from gradopt._tape.graph.operations import OPERATIONS


@pytest.fixture
def graph():
    return Graph(3, 1000)


@pytest.fixture
def x(graph):
    return graph.x


def shown(node):
    """A node in words, down to x."""
    if node.operation == "constant":
        return repr(node.literal) if node.literal is not None else f"constant{list(node.shape)}"
    inputs = [shown(i) for i in node.inputs]
    return f"{node.operation}({', '.join(inputs)})" if inputs else node.operation


def computed(node, x, known=None):
    """What NumPy makes of a node, operation by operation; known : of nodes that have been computed."""
    known = {} if known is None else known
    if node.index not in known:
        if node.operation == "x":
            known[node.index] = x
        elif node.value is not None:
            known[node.index] = node.value
        else:
            inputs = [computed(i, x, known) for i in node.inputs]
            known[node.index] = evaluate(node.operation, node.extra, node.shape, *inputs)
    return known[node.index]


def made_of(tree, operation, **named):
    """A tree of operations, as nested tuples of their names and inputs, by what `operation` makes of each."""
    if not isinstance(tree, tuple):
        return named.get(tree, tree)
    name, *inputs = tree
    return operation(name, *[made_of(i, operation, **named) for i in inputs])


def by_numpy(name, *inputs):
    return OPERATIONS[name].numpy(*inputs)


LITERALS = st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.5, 4.0, 0.25, 3.0, 0.1, -7.0])
TREES = st.recursive(
    st.one_of(st.sampled_from("xy"), LITERALS),
    lambda inner: st.one_of(
        st.tuples(st.just("negative"), inner),
        st.tuples(st.sampled_from(["add", "subtract", "multiply"]), inner, inner),
        st.tuples(st.just("divide"), inner, LITERALS),
    ),
    max_leaves=12,
)


def arguments(graph):
    return [graph.argument(i, np.ones(3)) for i in (0, 1)]


def element(node, i):
    return node.graph.rearranged(node, lambda a: a[i, ...])


NUMBERS = st.one_of(
    st.floats(allow_nan=False),
    st.integers(-5, 5),
    st.booleans(),
    st.sampled_from([0.0, -0.0, 1.0]),
    st.builds(np.float32, st.sampled_from([0.0, -0.0, 1.0, 0.1])),
    st.builds(np.float64, st.sampled_from([0.0, -0.0, 1.0, 0.1])),
)


class TestEachThingOnce:
    def test_the_same_of_the_same(self, graph, x):
        one, other = x * (x + 2.0), x * (x + 2.0)
        assert one is other
        assert [node.operation for node in graph.nodes] == ["x", "constant", "add", "multiply"]
        assert x - 2.0 is not 2.0 - x
        assert graph("less", x, 2.0) is not graph("less_equal", x, 2.0)

    @given(NUMBERS, NUMBERS)
    def test_numbers_are_the_same_by_type_and_digits(self, one, other):
        graph = Graph(1, 10)
        same = type(one) is type(other) and repr(one) == repr(other)
        assert (graph.constant(one) is graph.constant(other)) == same

    @pytest.mark.parametrize("number", [0.1, 3, True, np.float32(0.1), np.float64(3), np.int8(3)])
    def test_a_number_keeps_its_type(self, graph, number):
        node = graph.constant(number)
        assert (node.shape, node.fixed, node.literal) == ((), True, number)
        assert node.strong == isinstance(number, np.generic)
        assert node.value.dtype == np.asarray(number).dtype
        assert node.boolean == isinstance(number, bool)

    def test_integers_that_no_machine_holds_are_real_numbers(self, graph):
        assert graph.constant(2**63 - 1).value.dtype == np.int64
        assert repr(graph.constant(2**63).literal) == repr(2.0**63)
        assert graph.constant(-(2**63)).value.dtype == np.int64

    def test_arrays_by_what_is_in_them(self, graph):
        ones = np.ones(3)
        node = graph.constant(ones)
        assert graph.constant(np.ones(3)) is node
        assert graph.constant(np.ones((3, 1))) is not node
        assert graph.constant(np.ones(3, np.float32)) is not node
        assert graph.constant(np.zeros(3)) is not graph.constant(np.zeros(3, np.int64))
        ones[0] = 2.0
        assert node.value.tolist() == [1.0, 1.0, 1.0]
        assert graph.constant(ones) is not node

    def test_large_arrays_by_their_identity(self, graph, monkeypatch):
        monkeypatch.setattr(graph_module, "_SMALL", 3)
        ones = np.array([1.0, 1.0, 1.0, np.nan])
        node = graph.constant(ones)
        assert graph.constant(ones) is node
        assert graph.constant(ones.copy()) is not node
        ones[0] = 2.0
        changed = graph.constant(ones)
        assert (node.value[0], changed.value[0]) == (1.0, 2.0)

    def test_two_traces_share_their_copies_of_large_arrays(self):
        large, copies = np.ones(5000), Copies()
        one, other = (Graph(1, 10, copies).constant(large) for _ in range(2))
        assert one.value is other.value
        assert one.value is not large
        large[0] = 2.0
        assert Graph(1, 10, copies).constant(large).value[0] == 2.0
        assert one.value[0] == 1.0

    def test_an_argument_is_no_other_one(self, graph):
        one, other = graph.argument(0, np.ones(3)), graph.argument(1, np.ones(3))
        assert one is not other
        assert not one.fixed
        assert one.value is not None


class TestWhatIsKnown:
    def test_is_computed_at_once(self, graph):
        node = graph("exp", graph.constant(2.0) * 3.0 - 5.0)
        assert (node.operation, node.literal, node.fixed) == ("constant", math.e, True)
        assert not node.elementwise

    @pytest.mark.parametrize(
        ("made", "value"),
        [
            (lambda g: g("divide", 1, 2), 0.5),
            (lambda g: g("floor_divide", 7, 2), 3),
            (lambda g: g.constant(np.array([1, 2], np.float32)) * 0.1, np.array([1, 2], np.float32) * 0.1),
            (
                lambda g: g.constant(np.array([1, 2], np.float32)) * np.float64(0.1),
                np.array([1, 2], np.float32) * np.float64(0.1),
            ),
            (lambda g: g("exp", np.float32(0.1)), np.exp(np.float32(0.1))),
            (lambda g: g.constant(np.array([100], np.int8)) + 100, np.array([-56], np.int8)),
            (lambda g: g.constant(np.array([True, False])) + np.array([True, True]), np.array([True, True])),
            (lambda g: g("divide", 1.0, 0.0), np.inf),
            (lambda g: g.argument(0, np.array([3, 4], np.int8)) * 50, np.array([-106, -56], np.int8)),
        ],
        ids=range(9),
    )
    def test_in_the_precision_that_numpy_gives_it(self, graph, made, value):
        np.testing.assert_array_equal(made(graph).value, value, strict=True)

    def test_what_is_made_of_numbers_without_a_type_has_none(self, graph):
        assert not (graph.constant(2.0) * 3.0).strong
        assert not graph("exp", 2.0).strong
        assert graph("exp", np.float64(2.0)).strong

    def test_arguments_can_be_others(self, graph, x):
        argument = graph.argument(0, np.array([1.0, 2.0, 3.0]))
        made = 2.0 * argument
        assert (made.operation, made.fixed, made.value.tolist()) == ("multiply", False, [2.0, 4.0, 6.0])
        assert (x * made).value is None
        total = graph.total(argument)
        assert (total.operation, total.fixed, float(total.value)) == ("accumulate", False, 6.0)

    def test_within_a_gradient_all_is_double(self, graph):
        single = graph.argument(0, np.array([0.1, 0.2], np.float32))
        before = single * 3.0
        graph.in_double = True
        after = single * 3.0
        assert (before.value.dtype, before.in_double) == (np.float32, False)
        assert (after.value.dtype, after.in_double) == (np.float64, True)
        np.testing.assert_array_equal(after.value, np.array([0.1, 0.2], np.float32).astype(float) * 3.0)
        assert single * 3.0 is after

    def test_what_an_operation_is_given(self, graph):
        single, truth = np.array([0.1], np.float32), np.array([True])
        for operation, in_double, dtype in [
            ("multiply", False, "f"),
            ("multiply", True, "d"),
            ("view", True, "f"),
            ("accumulate", True, "d"),
        ]:
            assert graph_module.given(operation, graph.constant(single), single, in_double).dtype == dtype
        assert graph_module.given("view", graph.constant(single), single, True) is single
        assert graph_module.given("logical_or", graph.constant(truth), truth, True) is truth
        assert type(graph_module.given("multiply", graph.constant(3), np.array(3), True)) is int
        assert type(graph_module.given("accumulate", graph.constant(3), np.array(3), False)) is np.ndarray
        assert graph_module.given("multiply", graph.constant(np.float32(3)), np.float32(3), False).dtype == "f"

    def test_as_real_numbers(self, graph, x):
        single = graph.argument(0, np.array([0.1], np.float32))
        assert graph.widened(single).value.dtype == np.float64
        assert graph.widened(x) is x
        double = graph.constant(np.ones(2))
        assert graph.widened(double) is double
        assert graph.widened(graph.constant(np.arange(2))).value.dtype == np.float64


class TestWhatIsLeftOut:
    @pytest.mark.parametrize(
        "made",
        [
            lambda x: x + 0.0,
            lambda x: 0 + x,
            lambda x: x - 0.0,
            lambda x: x * 1.0,
            lambda x: 1 * x,
            lambda x: x * True,
            lambda x: x * np.float64(1.0),
            lambda x: x / 1.0,
            lambda x: -(x.graph("negative", x)),
            lambda x: -1.0 * (-1.0 * x),
            lambda x: 0.5 * (2.0 * x),
            lambda x: x.graph("copy", x),
            lambda x: x.graph("real", x),
            lambda x: x**1,
            lambda x: x + 0.0 * np.float32(1.0),
        ],
    )
    def test_what_does_nothing(self, made, x):
        assert made(x) is x

    @pytest.mark.parametrize(
        ("made", "simpler"),
        [
            (lambda x, y: x - (-y), "add(x, sin(x))"),
            (lambda x, y: x + (-y), "subtract(x, sin(x))"),
            (lambda x, y: -y + x, "subtract(x, sin(x))"),
            (lambda x, y: -x - y, "subtract(negative(x), sin(x))"),
            (lambda x, y: 0.0 - x, "subtract(0.0, x)"),
            (lambda x, y: x + x, "multiply(2.0, x)"),
            (lambda x, y: (x + x) + (x + x), "multiply(4.0, x)"),
            (lambda x, y: -1.0 * x, "negative(x)"),
            (lambda x, y: x * -1, "negative(x)"),
            (lambda x, y: 2.0 * (3.0 * x), "multiply(6.0, x)"),
            (lambda x, y: (x * 3.0) * -0.5, "multiply(-1.5, x)"),
            (lambda x, y: -(3.0 * x), "multiply(-3.0, x)"),
            (lambda x, y: 2.0 * ((3.0 * x) * y), "multiply(multiply(6.0, x), sin(x))"),
            (lambda x, y: 2.0 * (y * (3.0 * x)), "multiply(multiply(6.0, x), sin(x))"),
            (lambda x, y: x * 3.0, "multiply(3.0, x)"),
        ],
    )
    def test_what_is_simpler(self, made, simpler, graph, x):
        assert shown(made(x, graph("sin", x))) == simpler

    @pytest.mark.parametrize(
        ("made", "kept"),
        [
            (lambda x: 0.0 * x, "multiply(0.0, x)"),  # NaN and infinity
            (lambda x: x - x, "subtract(x, x)"),
            (lambda x: x / x, "divide(x, x)"),
            (lambda x: 0.0 / x, "divide(0.0, x)"),
            (lambda x: x**0, "power(x, 0)"),
            (lambda x: 3.0 * (0.1 * x), "multiply(3.0, multiply(0.1, x))"),  # rounding
            (lambda x: x / 3.0, "divide(x, 3.0)"),
            (lambda x: (x + 1.0) - 1.0, "subtract(add(x, 1.0), 1.0)"),
            (lambda x: 2.0 * (1e300 * x), "multiply(2.0, multiply(1e+300, x))"),  # overflow, in single precision too
            (lambda x: 0.5 * (1e-31 * x), "multiply(0.5, multiply(1e-31, x))"),
        ],
    )
    def test_what_is_not(self, made, kept, x):
        assert shown(made(x)) == kept

    def test_nothing_that_changes_the_shape(self, graph, x):
        column = graph.reshaped(x, (3, 1))
        zeros, ones = np.zeros(3), np.ones(3)
        for made in (column + zeros, column - zeros, column * ones, column / ones, graph("add", zeros, column)):
            assert made.shape == (3, 3)
        assert (element(x, 0) + np.zeros(3)).shape == (3,)
        assert (1.0 * element(x, 0)).shape == ()

    def test_arrays_of_zeros_and_ones_may_be_others(self, graph, x):
        zeros = graph.argument(0, np.zeros(3))
        number = graph.argument(1, np.array(1.0))
        assert shown(x + zeros) == "add(x, argument)"
        assert shown(x * number) == "multiply(x, argument)"
        assert shown(x**number) == "power(x, argument)"

    def test_copies_of_views_are_made(self, graph, x):
        turned = graph.rearranged(x, np.flip)
        assert shown(graph("copy", turned)) == "copy(view(x))"

    @given(TREES)
    def test_no_number_changes_but_for_the_sign_of_zero(self, tree):
        tree = ("add", tree, "x")
        places = [0.0, 1.0, -2.5, 1e-3, 0.7, np.inf, -np.inf, np.nan]
        numbers = np.array(np.meshgrid(places, places)).reshape(2, -1)
        graph = Graph(numbers.size, 1000)
        x, y = (element(graph.reshaped(graph.x, numbers.shape), i) for i in (0, 1))
        with np.errstate(all="ignore"):
            wanted = made_of(tree, by_numpy, x=numbers[0], y=numbers[1])
        np.testing.assert_array_equal(computed(made_of(tree, graph, x=x, y=y), numbers.ravel()), wanted)


class TestPowers:
    @pytest.mark.parametrize(
        ("exponent", "made"),
        [
            (2, "multiply(x, x)"),
            (3, "multiply(multiply(x, x), x)"),
            (4, "multiply(multiply(x, x), multiply(x, x))"),
            (-1, "divide(1.0, x)"),
            (-2, "divide(1.0, multiply(x, x))"),
            (-3, "divide(1.0, multiply(multiply(x, x), x))"),
            (-4, "divide(1.0, multiply(multiply(x, x), multiply(x, x)))"),
            (0.5, "sqrt(x)"),
            (np.float64(2.0), "multiply(x, x)"),
            (0, "power(x, 0)"),
            (5, "power(x, 5)"),
            (-5, "power(x, -5)"),
            (1.5, "power(x, 1.5)"),
            (-0.5, "power(x, -0.5)"),
            (np.inf, "power(x, inf)"),
            (np.nan, "power(x, nan)"),
            (np.full(3, 2.0), "power(x, constant[3])"),
        ],
        ids=str,
    )
    def test_small_whole_ones_are_products(self, x, exponent, made):
        assert shown(x**exponent) == made

    @pytest.mark.parametrize(
        ("exponent", "nodes"), [(1, 0), (2, 1), (3, 2), (4, 2), (-1, 1), (-3, 3), (0.5, 1), (7, 1)]
    )
    def test_no_node_is_made_in_vain(self, graph, x, exponent, nodes):
        graph.constant(1.0)
        graph.constant(exponent)
        before = len(graph.nodes)
        assert x**exponent is x**exponent
        assert len(graph.nodes) == before + nodes

    def test_the_square_is_shared(self, x):
        assert (x**4).inputs == (x**2, x**2)
        assert (x**3).inputs == (x**2, x)

    @pytest.mark.parametrize("exponent", [1, 2, 3, 4, -1, -2, -3, -4, 0, 0.5, 2.5])
    def test_they_are_what_numpy_makes(self, x, exponent):
        numbers = np.array([0.0, 1.7, np.inf])
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(computed(x**exponent, numbers), numbers**exponent, rtol=1e-15)

    def test_of_what_is_known(self, graph, x):
        assert (graph.constant(3.0) ** 2).literal == 9.0
        argument = graph.argument(0, np.array([3, 5], np.int8))
        squared = argument**4  # in the arithmetic of its type, as NumPy has it: not by products
        assert (squared.operation, squared.value.tolist()) == ("power", (np.array([3, 5], np.int8) ** 4).tolist())
        assert shown(graph.power(2.0, x)) == "power(2.0, x)"

    def test_of_truth(self, graph, x):
        assert shown(graph("less", x, 2.0) ** 2) == "multiply(real(less(x, 2.0)), real(less(x, 2.0)))"
        assert x**True is x


class TestTruth:
    @pytest.mark.parametrize(
        ("made", "simpler"),
        [
            (lambda a, b: a + b, "logical_or"),
            (lambda a, b: a * b, "logical_and"),
            (lambda a, b: a.graph("maximum", a, b), "logical_or"),
            (lambda a, b: a.graph("minimum", a, b), "logical_and"),
            (lambda a, b: a + True, "logical_or"),
            (lambda a, b: a * False, "logical_and"),
            (lambda a, b: a + a, "logical_or"),
            (lambda a, b: a.graph("logical_not", a), "logical_not"),
            (lambda a, b: a.graph("where", a, a, b), "where"),
        ],
    )
    def test_stays_truth(self, graph, x, made, simpler):
        node = made(graph("less", x, 2.0), graph("greater", x, 1.0))
        assert (node.operation, node.boolean) == (simpler, True)

    @pytest.mark.parametrize(
        ("made", "number"),
        [
            (lambda a, b: a + 1.0, "add(less(x, 2.0), 1.0)"),
            (lambda a, b: a + 1, "add(less(x, 2.0), 1)"),
            (lambda a, b: a * 1.0, "real(less(x, 2.0))"),
            (lambda a, b: 1 * a, "real(less(x, 2.0))"),
            (lambda a, b: a + 0.0, "real(less(x, 2.0))"),
            (lambda a, b: a / 1.0, "real(less(x, 2.0))"),
            (lambda a, b: a - b, "subtract(less(x, 2.0), greater(x, 1.0))"),
            (lambda a, b: a.graph("where", a, a, 2.0), "where(less(x, 2.0), less(x, 2.0), 2.0)"),
            (lambda a, b: a.graph.real(a), "real(less(x, 2.0))"),
            (lambda a, b: a.graph.widened(a), "real(less(x, 2.0))"),
        ],
    )
    def test_becomes_a_number(self, graph, x, made, number):
        node = made(graph("less", x, 2.0), graph("greater", x, 1.0))
        assert (shown(node), node.boolean) == (number, False)

    def test_absolute_values_and_copies_of_it_are_itself(self, graph, x):
        truth = graph("less", x, 2.0)
        assert graph("absolute", truth) is truth
        assert graph("copy", truth) is truth
        assert graph.real(graph.real(truth)) is graph.real(truth)
        assert graph.real(x) is x

    def test_its_elements_are_truth(self, graph, x):
        truth = graph("less", x, 2.0)
        assert element(truth, 0).boolean
        assert graph.stretched(truth, (2, 3)).boolean
        assert not element(x, 0).boolean

    @given(st.lists(st.sampled_from(["add", "multiply", "maximum", "minimum", "logical_or", "equal"]), min_size=1))
    def test_as_numpy_has_it(self, names):
        numbers = np.array([-1.0, 0.5, 2.0, np.nan])
        graph = Graph(4, 100)
        node, other = graph("less", graph.x, 1.0), graph("greater", graph.x, 0.0)
        wanted, second = numbers < 1.0, numbers > 0.0
        for name in names:
            node, wanted = graph(name, node, other), by_numpy(name, wanted, second)
        assert computed(node, numbers).tolist() == wanted.tolist()


class TestSameAs:
    @staticmethod
    def made(f, n=3):
        graph = Graph(n, 100)
        f(graph, graph.x)
        return graph

    LARGE = np.arange(5000.0)

    @pytest.mark.parametrize(
        "f",
        [
            lambda g, x: g("sin", 2.0 * x) + np.ones(3),
            lambda g, x: x + float("nan"),  # a new one at each call
            lambda g, x: x + np.array([1.0, np.nan, 2.0]),
            lambda g, x: element(x, 0) * np.arange(5000.0),  # a new one at each call
            lambda g, x: element(x, 0) * g.argument(0, np.ones(2)),
            lambda g, x: g.rearranged(x, lambda a: a[np.array([0, 0, 2])]),
        ],
    )
    def test_the_same_again(self, f):
        assert self.made(f).same_as(self.made(f))

    @pytest.mark.parametrize(
        ("f", "other"),
        [
            (lambda g, x: g("sin", x), lambda g, x: g("cos", x)),
            (lambda g, x: g("sin", x), lambda g, x: g("sin", g("sin", x))),
            (lambda g, x: x - 2.0, lambda g, x: 2.0 - x),
            (lambda g, x: x + 2.0, lambda g, x: x + 3.0),
            (lambda g, x: x + np.ones(3), lambda g, x: x + np.array([1.0, 1.0, 1.5])),
            (lambda g, x: element(x, 0), lambda g, x: element(x, 1)),
            (lambda g, x: element(x, [0, 1]), lambda g, x: element(x, [1, 0])),
            (lambda g, x: g.reshaped(x, (3, 1)), lambda g, x: g.reshaped(x, (1, 3))),
            (lambda g, x: element(x, 0) + TestSameAs.LARGE, lambda g, x: element(x, 0) + TestSameAs.LARGE[::-1]),
            (lambda g, x: x + arguments(g)[0], lambda g, x: x + arguments(g)[1]),
            (lambda g, x: (g("sin", x), g("cos", x)), lambda g, x: (g("cos", x), g("sin", x))),
        ],
    )
    def test_others(self, f, other):
        one, other = self.made(f), self.made(other)
        assert not one.same_as(other)
        assert not other.same_as(one)


MOVES = {
    "step": lambda a: a[::2],
    "tail": lambda a: a[1:] if len(a) > 1 else a,
    "turn": lambda a: a[::-1],
    "transpose": np.transpose,
    "ravel": np.ravel,
    "column": lambda a: a.reshape(-1, 1),
    "two rows": lambda a: a.reshape(2, -1) if a.size % 2 == 0 else a,
    "stretch": lambda a: np.broadcast_to(a, (2, *a.shape)),
    "places": lambda a: a[np.array([0, -1, 0])],
    "repeat": lambda a: np.repeat(a, 2),
}


class TestViews:
    @given(st.lists(st.sampled_from(sorted(MOVES)), max_size=5))
    def test_moves_on_moves(self, names):
        numbers = np.arange(12.0)
        graph = Graph(12, 1000)
        node = graph.x
        for name in names:
            if numbers.ndim and numbers.size < 100:
                node, numbers = graph.rearranged(node, MOVES[name]), MOVES[name](numbers)
        assert node.shape == numbers.shape
        np.testing.assert_array_equal(computed(node, np.arange(12.0)), numbers)
        assert node is graph.x or (node.operation, node.inputs) == ("view", (graph.x,))  # however many there were

    def test_there_and_back_is_nothing(self, graph, x):
        turned = graph.rearranged(x, np.flip)
        assert graph.rearranged(turned, np.flip) is x
        assert graph.reshaped(graph.reshaped(x, (3, 1)), (3,)) is x
        assert graph.reshaped(x, (3,)) is x
        assert graph.stretched(x, (3,)) is x

    def test_two_ways_to_the_same_elements(self, graph, x):
        assert element(element(x, slice(1, None)), 1) is element(x, 2)
        column = graph.reshaped(x, (3, 1))
        assert graph.stretched(column, (3, 3)) is graph.rearranged(graph.stretched(x, (3, 3)), np.transpose)

    def test_stretched(self, graph, x):
        node = graph.stretched(x, (2, 3))
        assert (node.shape, node.extra) == ((2, 3), Geometry(0, (0, 1)))
        with pytest.raises(ValueError, match="broadcast"):
            graph.stretched(x, (2, 2))

    def test_inputs_of_other_shapes_are_stretched_but_not_numbers(self, graph, x):
        made = x + graph.reshaped(x, (3, 1))
        assert (made.shape, [i.shape for i in made.inputs]) == ((3, 3), [(3, 3), (3, 3)])
        made = x + element(x, 0)
        assert (made.shape, [i.shape for i in made.inputs]) == ((3,), [(3,), ()])

    def test_of_a_view_in_order_it_is_one_of_the_base(self, graph, x):
        tail = element(x, slice(1, None))
        node = graph.view(tail, Geometry(1, ()), ())
        assert (node.inputs, node.extra) == ((x,), Geometry(2, ()))
        assert node is element(x, 2)

    def test_of_another_view_it_is_one_of_a_copy(self, graph, x):
        for moved in (graph.rearranged(x, np.flip), element(x, [0, 2, 1])):
            node = graph.view(moved, Geometry(1, ()), ())
            assert shown(node) == "view(copy(view(x)))"
            assert computed(node, np.array([5.0, 6.0, 7.0])) == computed(moved, np.array([5.0, 6.0, 7.0]))[1]

    def test_of_what_is_known_it_is_known(self, graph, monkeypatch):
        assert element(graph.constant(np.arange(3.0)), 1).value == 1.0
        argument = graph.argument(0, np.arange(3.0))
        node = element(argument, slice(1, None))
        assert (node.operation, node.inputs, node.value.tolist()) == ("view", (argument,), [1.0, 2.0])
        monkeypatch.setattr(graph_module, "_SMALL", 3)
        large = graph.constant(np.arange(5.0))
        node = element(large, slice(1, None))
        assert (node.operation, node.value.tolist()) == ("view", [1.0, 2.0, 3.0, 4.0])
        assert np.shares_memory(node.value, large.value)

    @pytest.mark.parametrize("move", [lambda a: a + 1, lambda a: a.astype(float), lambda a: a - 1])
    def test_what_makes_other_elements_is_refused(self, graph, x, move):
        with pytest.raises(TypeError, match="not only moved"):
            graph.rearranged(x, move)

    def test_without_elements_there_is_nothing_to_view(self, graph, x):
        empty = element(x, slice(0, 0))
        assert (empty.operation, empty.value.shape) == ("constant", (0,))
        assert (empty + 1.0).value.shape == (0,)


class TestAccumulations:
    def test_of_everything_is_a_reshape(self, graph, x):
        assert graph.accumulated([(Geometry(0, (1,)), x)], (3,)) is x
        turned = graph.accumulated([(Geometry(0, (1,)), x)], (3, 1))
        assert turned is graph.reshaped(x, (3, 1))

    @pytest.mark.parametrize(
        ("geometries", "shape"),
        [
            ([Geometry(0, (0,))], ()),
            ([Geometry(2, (-1,))], (3,)),
            ([Geometry(0, (1,))], (4,)),
            ([Geometry(1, (1,))], (4,)),
            ([Geometry(0, (1,)), Geometry(0, (1,))], (3,)),
            ([Geometry(0, None, Positions(np.arange(3)))], (3,)),
        ],
    )
    def test_of_less_or_in_another_order_is_none(self, graph, x, geometries, shape):
        node = graph.accumulated([(geometry, x) for geometry in geometries], shape)
        assert (node.operation, node.shape, node.inputs) == ("accumulate", shape, (x,) * len(geometries))

    def test_the_sum_of_one_element_is_that(self, graph, x):
        assert graph.total(element(x, slice(1, 2))) is element(x, 1)
        assert graph.total(x).operation == "accumulate"
        assert graph.total(x) is graph.total(x)

    @pytest.mark.parametrize("how", HOW)
    def test_as_numpy_has_it(self, how):
        combine = {"add": np.sum, "multiply": np.prod, "maximum": np.max, "minimum": np.min}[how]
        part = np.array([[2.0, -3.0, 0.5], [4.0, 0.25, -1.0]])
        by_column = how, (Geometry(0, (0, 1)),)
        np.testing.assert_array_equal(evaluate("accumulate", by_column, (3,), part), combine(part, axis=0))
        everything = how, (Geometry(0, (0, 0)), Geometry(0, ()))
        wanted = combine(np.append(part, 7.0))
        np.testing.assert_array_equal(evaluate("accumulate", everything, (), part, np.array(7.0)), wanted)

    def test_elements_that_nothing_reaches_are_neutral(self):
        positions = Geometry(0, None, Positions(np.array([3, 1, 1])))
        for how, neutral, twice in zip(HOW, [0.0, 1.0, -np.inf, np.inf], [5.0, 6.0, 3.0, 2.0], strict=True):
            result = evaluate("accumulate", (how, (positions,)), (2, 2), np.array([7.0, 2.0, 3.0]))
            np.testing.assert_array_equal(result, [[neutral, twice], [neutral, 7.0]])


class TestProducts:
    def test_shapes(self, graph):
        a, b = (graph.stretched(graph.x, (2, 3)), graph.constant(np.ones((3, 4))))
        assert graph.product(a, b).shape == (2, 4)
        with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 3\) have no product"):
            graph.product(a, a)

    def test_of_a_column_and_a_row(self, graph, x):
        column, row = graph.reshaped(x, (3, 1)), graph.reshaped(x, (1, 3))
        assert graph.product(column, row).operation == "multiply"
        assert graph.product(row, column).operation == "matmul"
        numbers = np.array([1.0, 2.0, 3.0])
        np.testing.assert_array_equal(computed(graph.product(column, row), numbers), np.outer(numbers, numbers))

    def test_of_nothing_is_zero(self, graph):
        product = graph.product(graph.constant(np.zeros((2, 0))), graph.constant(np.zeros((0, 3))))
        assert product.value.tolist() == [[0.0] * 3] * 2

    @pytest.mark.parametrize(
        ("move", "copied"),
        [
            (lambda a: a.reshape(3, 4), False),
            (lambda a: a.reshape(4, 3).T, False),
            (lambda a: a[:6].reshape(3, 2), False),
            (lambda a: a.reshape(4, 3)[:, :2], True),
            (lambda a: a.reshape(3, 4)[::-1], True),
            (lambda a: np.broadcast_to(a[:2], (3, 2)), True),
            (lambda a: a[np.array([[0, 1], [1, 0]])], True),
        ],
    )
    def test_matrices_stand_in_order_or_turned(self, move, copied):
        graph = Graph(12, 100)
        node = graph.rearranged(graph.x, move)
        product = graph.product(node, graph.constant(np.ones((node.shape[1], 2))))
        assert product.inputs[0].operation == ("copy" if copied else "view")

    @pytest.mark.parametrize(
        ("move", "copied"),
        [
            (lambda a: a[::-1], False),
            (lambda a: a.reshape(4, 3).T, False),
            (lambda a: a.reshape(2, 2, 3), False),
            (lambda a: a.reshape(2, 2, 3).transpose(1, 0, 2), True),
            (lambda a: a[np.array([1, 0])], True),
        ],
    )
    def test_lines_have_a_stride(self, move, copied):
        graph = Graph(12, 100)
        node = graph.along_lines("cumsum", graph.rearranged(graph.x, move))
        assert node.inputs[0].operation == ("copy" if copied else "view")
        numbers = np.arange(12.0)
        np.testing.assert_array_equal(computed(node, numbers), np.cumsum(move(numbers), axis=-1))

    @given(st.integers(1, 3), st.lists(st.sampled_from([0.0, 2.0, -3.0, 0.5]), min_size=1, max_size=4))
    def test_of_all_others_in_a_line(self, lines, line):
        array = np.array([np.roll(line, i) for i in range(lines)])
        wanted = [[np.prod(np.delete(one, i)) for i in range(one.size)] for one in array]
        np.testing.assert_array_equal(evaluate("other_products", None, array.shape, array), wanted)


class TestEvaluation:
    @given(st.permutations(range(12)), st.integers(0, 3))
    def test_views(self, order, kind):
        array = np.arange(100.0, 112.0).reshape(3, 4).T  # not in C order itself
        line = array.ravel()
        if kind == 0:
            geometry, shape, wanted = Geometry(0, None, Positions(np.array(order))), (12,), line[order]
        elif kind == 1:
            geometry, shape, wanted = Geometry(1, (4, 2)), (2, 2), line[[[1, 3], [5, 7]]]
        elif kind == 2:
            geometry, shape, wanted = Geometry(11, (-2,)), (3,), line[[11, 9, 7]]
        else:
            geometry, shape, wanted = Geometry(5, (0,)), (3,), line[[5, 5, 5]]
        np.testing.assert_array_equal(evaluate("view", geometry, shape, array), wanted)

    def test_is_silent_as_machine_code(self):
        assert evaluate("divide", None, (), 1.0, np.array(0.0)) == np.inf
        assert np.isnan(evaluate("log", None, (), np.array(-1.0)))
        assert evaluate("matmul", None, (1, 1), np.array([[1e308, 1e308]]), np.array([[1.0], [1.0]])) == np.inf


class TestLimits:
    def test_one_node_more_is_too_long(self):
        graph = Graph(3, 4)
        made = (graph.x + 1.0) * graph.x
        assert len(graph.nodes) == 4
        assert (graph.x + 1.0) * graph.x is made  # known
        with pytest.raises(TooLong):
            made + made
        assert len(graph.nodes) == 4

    def test_a_node_knows_its_size_and_place(self, graph, x):
        made = graph.stretched(x, (2, 3))
        assert (x.size, made.size, element(x, 0).size) == (3, 6, 1)
        assert [node.index for node in graph.nodes] == list(range(len(graph.nodes)))
