"""From a graph to a program: stages, pieces and places, checked without numbers; and the table of instructions."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradopt._tape.graph.evaluate import HOW, evaluate
from gradopt._tape.graph.geometry import Geometry, Positions
from gradopt._tape.graph.graph import Copies, Graph
from gradopt._tape.graph.operations import OPERATIONS
from gradopt._tape.graph.reverse import gradient
from gradopt._tape.lower import layout as layout_module
from gradopt._tape.lower.assemble import Assembly
from gradopt._tape.lower.layout import Layout, Place
from gradopt._tape.machine import opcodes as op
from gradopt._tape.machine import program as p
from gradopt._tape.machine.elements import of_scalar
from gradopt._tape.machine.matrices import OPERATIONS as MATRIX_OPERATIONS
from gradopt._tape.machine.run import run
from gradopt._tape.names.meaning import Meanings
from gradopt._tape.record.numpy_functions import FUNCTIONS as OF_NUMPY
from gradopt._tape.record.trace import Trace
from gradopt._tape.record.traced_array import TracedArray, node_of
from gradopt._tape.tape import Tape

from traces import FUNCTIONS

KINDS = ["START", "SCALARS", "PIECES", "CLEAR", "MATMUL", "CUMSUM", "OTHER_PRODUCTS", "ORDER", "TAKEN", "PUT_BACK"]
KINDS += ["MATRICES", "RESULT"]
INPUTS = {
    op.opcode(name): getattr(
        operation.numpy, "nin", {"where": 3, "share": 2, "zeta": 2, "wofz_real": 2, "wofz_imag": 2}.get(name, 1)
    )
    for name, operation in OPERATIONS.items()
}
SCALAR_FORMS = range(op.PLUS, op.UNDER + 1)


def part(node, index):
    return node.graph.rearranged(node, lambda a: a[index, ...])


def lowered(f, n):
    """The program for f(graph, x) and its gradient."""
    graph = Graph(n, 10**6)
    result = f(graph, graph.x)
    return assembled(result, gradient(graph, result))


def assembled(result, outputs):
    assembly = Assembly(result.graph.x)
    assembly.add(result, outputs)
    return assembly


def kinds(assembly):
    return [KINDS[kind] for kind, *_ in assembly.stages]


def instructions(assembly):
    """How often each instruction occurs."""
    return Counter(row[0] for row in assembly.rows)


class DryMachine:
    """Runs a program without numbers: each place must lie in its array, and be written before it is read."""

    def __init__(self, assembly, n):
        layout = assembly.layout
        self.assembly, self.tables = assembly, layout.tables
        sizes = {p.X: n, p.CONSTANTS: layout.constants_size, p.WORK: layout.work_size, p.GRAD: n}
        self.written = {array: np.full(size, array == p.X) for array, size in sizes.items()}
        for known in layout.known:
            self.write(known.array, known.place, known.node.size * known.times)

    def run(self):
        for kind, *numbers in self.assembly.stages:
            if kind == p.START:
                self.write(p.WORK, 0, numbers[0])
            elif kind == p.SCALARS:
                for row in self.assembly.rows[slice(*numbers[:2])]:
                    self.scalar(*row)
            elif kind == p.PIECES:
                self.pieces(*numbers)
            elif kind == p.CLEAR:
                place, array, size, how = numbers
                assert how in range(p.REPLACE)
                self.write(array, place, size)
            elif kind == p.MATMUL:
                self.multiply(numbers[0])
            elif kind == p.RESULT:
                self.read(p.WORK, numbers[0])
            elif kind in (p.ORDER, p.TAKEN, p.PUT_BACK):
                self.orders(kind, numbers[0])
            elif kind == p.MATRICES:
                self.matrices(numbers[0])
            else:
                self.lines(numbers[0])
        assert kind == p.RESULT
        assert self.written[p.GRAD].all(), "an element of the gradient is missing"

    def inside(self, array, places, length=1):
        places = np.arange(places, places + length) if np.ndim(places) == 0 else places
        assert 0 <= places.min() <= places.max() < self.written[array].size, "beyond the array"
        return places

    def write(self, array, places, length=1):
        self.written[array][self.inside(array, places, length)] = True

    def read(self, array, places, length=1):
        assert self.written[array][self.inside(array, places, length)].all(), "read before it was written"

    def scalar(self, operation, o, a, b, c):
        if operation in (op.PUT, op.ADD_TO):
            self.read(p.WORK, o)
            if operation == op.ADD_TO:
                self.read(a, b)
            self.write(a, b)
            return
        if operation == op.GET:
            self.read(a, b)
        else:
            for place in (a, b, c)[: INPUTS[operation]]:
                self.read(p.WORK, place)
        self.write(p.WORK, o)

    def pieces(self, first, end, size, length):
        """All rows, for the first piece, and for all of the arrays that are taken piece by piece."""
        m = min(size, length)

        def elements(place):
            if place < p.IN_MEMORY:
                return p.WORK, place, m
            return (p.WORK, place - p.IN_MEMORY, size) if place < p.IN_X else (p.X, place - p.IN_X, size)

        for operation, o, a, b, c in self.assembly.rows[first:end]:
            if operation < op.GET or operation in SCALAR_FORMS:
                if operation in SCALAR_FORMS:
                    self.read(p.WORK, b)
                for place in [a] if operation in SCALAR_FORMS else (a, b, c)[: INPUTS[operation]]:
                    self.read(*elements(place))
                    assert not overlap(elements(o), elements(place)), "the result is written over an input"
                self.write(*elements(o))
                continue
            assert o < p.IN_MEMORY  # what is moved is in a register
            if operation == op.FILL:
                self.read(p.WORK, a)
                self.write(p.WORK, o, m)
            elif operation in (op.LOAD, op.LOAD_VIEW, op.LOAD_AT):
                self.read(a, self.places(operation - op.LOAD, b, size))
                self.write(p.WORK, o, m)
            else:
                self.read(p.WORK, o, m)
                places = self.places(operation - op.STORE, b, size)
                if c != p.REPLACE:
                    self.read(a, places)
                self.write(a, places)

    def places(self, form, b, size):
        """The places between which and a register the elements go, for all pieces."""
        if form == 0:
            return np.arange(b, b + size)
        if form == op.LOAD_AT - op.LOAD:
            return np.array(self.tables[b : b + size])
        offset, axes = self.tables[b : b + 2]
        places, described = np.array([offset]), self.tables[b + 2 : b + 2 + 2 * axes]
        for length, stride in zip(described[::2], described[1::2], strict=True):
            places = (stride * np.arange(length)[:, None] + places).ravel()
        assert places.size == size
        return places

    def multiply(self, at):
        c, m, k, n, array_a, a, _, array_b, b, b_is_turned, scratch, count = self.tables[at : at + 12]
        self.read(array_a, a, count * m * k)
        self.read(array_b, b, count * k * n)
        if b_is_turned and m > 1 and n > 1:
            self.write(p.WORK, scratch, k * n)
        self.write(p.WORK, c, count * m * n)

    def matrices(self, at):
        number, out, count, m, n, _, *inputs = self.tables[at : at + 12]
        name, factors = MATRIX_OPERATIONS[number], n * n + n
        sizes = {"triangular_solve": [m * m, m * n], "lu_solve": [m * m, m * m + m, m * n]}.get(name, [m * n])
        sizes = [n * n, factors] if "determinant" in name else sizes
        for size, array, place in zip(sizes, inputs[::2], inputs[1::2], strict=False):
            self.read(array, place, count * size)
        results = {"lu": factors, "eigh": factors, "qr": (m + n) * n}
        self.write(p.WORK, out, count * (1 if "determinant" in name else results.get(name, m * n)))

    def lines(self, at):
        out, lines, length, array, first, between, step = self.tables[at : at + 7]
        self.read(array, first + between * np.arange(lines)[:, None] + step * np.arange(length))
        self.write(p.WORK, out, lines * length)

    def orders(self, kind, at):
        out, lines, *inputs, many, scratch = self.tables[at : at + 14]
        for length, array, first, between, step in (inputs[:5], inputs[5:]):
            self.read(array, first + between * np.arange(lines)[:, None] + step * np.arange(length))
        if kind == p.ORDER:
            self.write(p.WORK, scratch, many)
        self.write(p.WORK, out, lines * many)


def overlap(one, other):
    return one[0] == other[0] and one[1] < other[1] + other[2] and other[1] < one[1] + one[2]


def taken(assembly):
    """The ranges of `work` that nodes, known numbers and registers have."""
    layout = assembly.layout
    sizes = {node.index: node.size for node in assembly.nodes}
    places = layout._places | layout._known_places
    ranges = {(place, sizes[index]) for index, (array, place) in places.items() if array == p.WORK}
    ranges |= {(known.place, known.node.size * known.times) for known in layout.known if known.array == p.WORK}
    ranges |= {(place, 1) for place in assembly._brought.values()}
    for kind, at, *_ in assembly.stages:
        if kind == p.MATMUL:
            _, m, k, n, *_, b_is_turned, scratch = layout.tables[at : at + 11]
            ranges |= {(scratch, k * n)} if b_is_turned and m > 1 and n > 1 else set()
        elif kind in (p.ORDER, p.TAKEN, p.PUT_BACK):
            many, scratch = layout.tables[at + 12 : at + 14]
            ranges |= {(scratch, many)}
    return sorted(ranges) + [(place, layout_module.PIECE) for place in layout._registers]


@pytest.fixture(params=FUNCTIONS)
def assembly(request, piece):
    trace = Trace(Graph(12, 10**6, Copies()), OF_NUMPY)
    f = FUNCTIONS[request.param]
    run = Meanings(trace).of(lambda x: f(np, x))
    result = node_of(trace, run(TracedArray(trace, trace.graph.x)))
    assembly = assembled(result, gradient(trace.graph, result))
    assembly.nodes = trace.graph.nodes
    return assembly


def test_every_place_lies_in_its_array_and_is_written_before_it_is_read(assembly):
    DryMachine(assembly, 12).run()


def test_nothing_overlaps(assembly):
    ranges = sorted(taken(assembly))
    for (place, size), (next_place, _) in pairwise(ranges):
        assert place + size <= next_place
    assert ranges[0][0] >= 0
    assert sum(ranges[-1]) <= assembly.layout.work_size


class TestStages:
    @pytest.mark.parametrize(
        ("f", "stages"),
        [
            (lambda g, x: part(x, 0) * part(x, 1), "START SCALARS RESULT"),
            (lambda g, x: g.total(g("exp", x * x) * 2.5), "START CLEAR PIECES RESULT"),
            (lambda g, x: g.total(g("sin", x) * g.total(x)), "START CLEAR CLEAR PIECES CLEAR PIECES RESULT"),
            (lambda g, x: part(x, 0) * g.total(g("exp", x)), "START CLEAR PIECES SCALARS RESULT"),
            (lambda g, x: g.total(g.along_lines("cumsum", x * x)), "START PIECES CUMSUM CLEAR PIECES RESULT"),
            (
                lambda g, x: g.accumulated([(Geometry(0, (0,)), x)], (), "multiply"),
                "START CLEAR PIECES OTHER_PRODUCTS PIECES RESULT",
            ),
        ],
        ids=range(6),
    )
    def test_come_in_this_order(self, f, stages):
        assert kinds(lowered(f, 2)) == stages.split()

    @given(st.integers(1, 4))
    def test_numbers_alone_need_a_single_one(self, n):
        def f(graph, x):
            total = graph.constant(0.5)
            for i in range(n):
                total = graph("exp", total * part(x, i)) - part(x, i)
            return total

        assembly = lowered(f, n)
        assert kinds(assembly) == ["START", "SCALARS", "RESULT"]
        assert assembly.stages[1][1:3] == (0, len(assembly.rows))

    def test_both_passes_of_elementwise_operations_share_one(self):
        assembly = lowered(lambda g, x: g.total(g("tanh", g("sin", x) * 2.0)), 100)
        assert kinds(assembly) == ["START", "CLEAR", "PIECES", "RESULT"]
        assert instructions(assembly)[op.TANH] == instructions(assembly)[op.SIN] == instructions(assembly)[op.COS] == 1

    def test_what_needs_a_sum_waits_for_it(self):
        assembly = lowered(lambda g, x: g.total(g("sin", x) * g("exp", g.total(x))), 100)
        stages = kinds(assembly)
        number = stages.index("SCALARS")
        assert stages[:number].count("PIECES") == 1
        assert stages[number:].count("PIECES") >= 1

    def test_a_product_of_matrices_and_those_of_its_gradient(self):
        def f(graph, x):
            return graph.total(graph("sin", graph.product(graph.reshaped(x, (2, 3)), graph.reshaped(x, (3, 2)))))

        assembly = lowered(f, 6)
        assert kinds(assembly).count("MATMUL") == 3
        assert kinds(assembly)[:3] == ["START", "MATMUL", "CLEAR"]
        _, at, *_ = assembly.stages[1]
        assert assembly.layout.tables[at + 1 : at + 4] == [2, 3, 2]
        assert assembly.layout.tables[at + 4 : at + 10] == [p.WORK, 0, 0, p.WORK, 0, 0]

    @pytest.mark.parametrize(("name", "n", "times"), [("rint", 600, 2), ("rint", 500, 1), ("exp", 600, 1)])
    def test_only_what_is_cheap_and_large_is_computed_again(self, name, n, times):
        def f(graph, x):
            y = graph(name, x)
            return graph.total(y * graph("sqrt", graph.total(y)))

        assert instructions(lowered(f, n))[op.opcode(name)] == times

    @pytest.mark.parametrize(
        ("begins", "size", "cleared"), [((0, 4), 8, 0), ((4, 0), 8, 0), ((0, 3), 8, 4), ((0, 5), 9, 5), ((0, 0), 4, 0)]
    )
    def test_parts_replace_what_is_there_where_they_are_the_first(self, begins, size, cleared):
        def f(graph, x):
            parts = [
                (Geometry(begin, (1,)), graph(name, x)) for begin, name in zip(begins, ["sin", "cos"], strict=True)
            ]
            return graph.total(graph("exp", graph.accumulated(parts, (size,))))

        assembly = lowered(f, 4)
        DryMachine(assembly, 4).run()
        assert sum(stage[3] for stage in assembly.stages if stage[0] == p.CLEAR) == cleared + 1  # and the sum

    def test_two_parts_for_one_element_are_added(self):
        def f(graph, x):
            return part(x, 0) * part(x, 1) + graph.reshaped(graph("exp", part(x, slice(0, 1))), ())

        assembly = lowered(f, 2)
        assert (p.CLEAR, 0, p.GRAD, 2, p.COMBINE_ADD) in assembly.stages
        assert instructions(assembly)[op.ADD_TO] == 3
        assert instructions(assembly)[op.PUT] == 0

    @pytest.mark.parametrize("how", HOW)
    def test_accumulators_begin_with_the_neutral_element(self, how):
        assembly = lowered(lambda g, x: g.accumulated([(Geometry(0, (0,)), x)], (), how), 5)
        place = assembly.stages[-1][1]
        assert (p.CLEAR, place, p.WORK, 1, HOW.index(how)) in assembly.stages

    def test_the_result_may_be_known(self):
        assembly = lowered(lambda g, x: g.constant(2.5), 3)
        DryMachine(assembly, 3).run()
        (place,) = [known.place for known in assembly.layout.known if known.node.literal == 2.5]
        assert assembly.stages[-1][:2] == (p.RESULT, place)


def half(a, begin):
    return part(a, slice(begin, begin + 12))


def joined(graph, begins, *parts):
    return graph.accumulated([(Geometry(begin, (1,)), one) for begin, one in zip(begins, parts, strict=True)], (24,))


# Each makes an array of 24 of two others, with elements that don't grow.
STEPS = {
    "add": lambda graph, a, b: graph("sin", a + b),
    "multiply": lambda graph, a, b: graph("sin", a * b),
    "largest": lambda graph, a, b: graph("maximum", a, b),
    "chosen": lambda graph, a, b: graph("where", graph("less", a, b), a, 0.5),
    "turned": lambda graph, a, b: graph.rearranged(a, np.flip),
    "with a number": lambda graph, a, b: a * graph("sin", graph.total(b)),
    "above a number": lambda graph, a, b: graph("maximum", a, 0.3 * graph("sin", graph.total(b))),
    "parts": lambda graph, a, b: joined(graph, [0, 5], part(a, slice(5)), part(b, slice(5, None))),
    "halves": lambda graph, a, b: joined(
        graph, [12, 0], graph("sin", half(a, 0)), graph("sin", graph("sin", graph("sin", half(b, 3))))
    ),
    "overlapping halves": lambda graph, a, b: joined(
        graph, [7, 2], graph("sin", half(a, 5)), graph("sin", half(b, 1) * half(a, 5))
    ),
    "a product": lambda graph, a, b: graph(
        "sin",
        graph.reshaped(
            graph.product(graph.reshaped(a, (6, 4)), graph.rearranged(b, lambda b: b[:16].reshape(4, 4).T)), (24,)
        ),
    ),
}


class TestPieces:
    @staticmethod
    def length_of(n):
        (stage,) = [stage for stage in lowered(lambda g, x: g.total(g("sin", x)), n).stages if stage[0] == p.PIECES]
        _, _, _, size, length = stage
        assert size == n
        return length

    @pytest.mark.parametrize("n", [2, 7, 511, 512])
    def test_small_arrays_are_one(self, n):
        assert self.length_of(n) == n

    @given(st.one_of(st.integers(513, 20_000), st.sampled_from([513, 1024, 1025, 4096, 4097])))
    def test_large_arrays_have_as_few_as_possible_of_similar_length(self, n):
        length, count = self.length_of(n), math.ceil(n / 512)
        assert length <= 512
        assert length % 8 == 0
        assert math.ceil(n / length) == count
        assert length <= n / count + 16

    def test_a_single_number_has_none(self):
        assert "PIECES" not in kinds(lowered(lambda g, x: g.total(g("sin", x)), 1))

    def test_registers_are_used_again(self):
        layouts = []
        for count in (3, 30):
            graph = Graph(600, 1000)
            y = graph.x
            for _ in range(count):
                y = y * y + 0.5
            layouts.append(assembled(graph.total(y), graph.constant(np.zeros(600))).layout)
        assert len(layouts[0]._registers) == len(layouts[1]._registers) <= 3
        assert layouts[0].work_size == layouts[1].work_size

    def test_later_stages_use_them_again(self):
        sizes = []
        for count in (2, 8):
            graph = Graph(600, 1000)
            number = part(graph.x, 0)
            for _ in range(count):
                number = graph.total(graph("rint", graph.x) * number)
            assembly = assembled(number, graph.constant(np.zeros(600)))
            assert kinds(assembly).count("PIECES") >= count
            sizes.append(assembly.layout.work_size)
        assert sizes[1] - sizes[0] < 512

    @pytest.mark.slow
    @pytest.mark.parametrize("name", sorted(STEPS))
    def test_each_array_is_whole(self, name):
        check_against_numpy([(name, 0, 1), (name, 2, 0)], 5)

    @pytest.mark.slow
    @given(
        st.lists(st.tuples(st.sampled_from(sorted(STEPS)), *[st.integers(0, 100)] * 2), min_size=1, max_size=15),
        st.integers(4, 40),
    )
    def test_whatever_is_computed_no_piece_is_lost(self, steps, piece):
        check_against_numpy(steps, piece)


def check_against_numpy(steps, piece):
    """Run a tape of some steps, each of which takes two earlier arrays, in pieces of some length."""
    n = 24
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout_module, "PIECE", piece)
        patch.setattr(layout_module, "COPIED", n if piece % 2 else 0)
        graph = Graph(n, 1000)
        nodes = [graph.x, 0.5 * graph.x]
        for name, i, j in steps:
            nodes.append(STEPS[name](graph, nodes[i % len(nodes)], nodes[j % len(nodes)]))
        tape = Tape.of(graph.total(graph("sin", nodes[-1] * nodes[len(nodes) // 2])))
    x = np.cos(np.arange(n) + 0.5)
    numbers = all_numbers(tape.paths.known[0].graph, x)
    grad, program, work = np.empty(n), tape.program(np.float64), tape.workspace(np.float64)
    for _ in range(2):  # nothing is left from the run before
        fun = run(program, grad, work, x)
        assert fun == pytest.approx(float(numbers[tape.result.index]), rel=1e-10, abs=1e-10)
        np.testing.assert_allclose(grad, numbers[tape.gradient.index], rtol=1e-9, atol=1e-9)


def all_numbers(graph, x):
    """What NumPy computes for each node of a graph."""
    numbers = []
    for node in graph.nodes:
        if node.value is not None:
            numbers.append(node.value)
        else:
            inputs = [numbers[i.index] for i in node.inputs]
            numbers.append(x if node is graph.x else evaluate(node.operation, node.extra, node.shape, *inputs))
    return numbers


@pytest.fixture
def graph():
    return Graph(20, 1000)


@pytest.fixture
def layout(graph):
    return Layout(graph.x)


class TestLayout:
    @given(st.lists(st.integers(1, 100), min_size=2))
    def test_space_is_given_once_and_that_of_arrays_begins_at_a_line(self, sizes):
        layout = Layout(Graph(3, 10).x)
        assert layout.work_size == 3
        end = 3
        for size in sizes:
            place = layout.space(size)
            assert end <= place < end + 16
            assert place == end if size < 16 else place % 16 == 0
            end = place + size
            assert layout.work_size == end

    def test_space_is_limited(self, layout):
        layout.space(p.PLACES - 100)
        with pytest.raises(MemoryError, match="tape"):
            layout.space(100)

    @pytest.mark.parametrize(("n", "where"), [(4096, Place(p.WORK, 0)), (4097, Place(p.X, 0))])
    def test_x_is_copied_up_to_a_length(self, n, where):
        graph = Graph(n, 10)
        layout = Layout(graph.x)
        assert layout.where(graph.x) == where
        assert layout.x_is_copied == (where.array == p.WORK)
        assert layout.work_size == (n if layout.x_is_copied else 0)
        started = kinds(lowered(lambda g, x: g.total(g("sin", x)), n))[0] == "START"
        assert started == layout.x_is_copied

    def test_registers_come_back(self, layout):
        one, other = layout.register(), layout.register()
        assert abs(one - other) >= 512
        layout.release([one])
        before = layout.work_size
        assert layout.register() == one
        assert layout.work_size == before
        assert layout.register() not in (one, other)

    def test_small_constants_stand_in_work_large_ones_apart(self, graph, layout):
        nodes = [graph.constant(np.arange(float(size))) for size in (512, 513, 2, 600)]
        places = [layout.where(node) for node in nodes]
        assert [place.array for place in places] == [p.WORK, p.CONSTANTS, p.WORK, p.CONSTANTS]
        assert [places[1].place, places[3].place] == [0, 528]
        assert layout.constants_size == 528 + 608
        assert [layout.where(node) for node in nodes] == places
        assert [known[:2] for known in layout.known] == places
        assert layout.constants_size == 528 + 608

    def test_views_in_order_stand_where_their_base_stands(self, graph, layout):
        x = graph.x
        assert layout.where(part(x, slice(3, 9))) == Place(p.WORK, 3)
        assert layout.where(graph.reshaped(x, (4, 5))) == Place(p.WORK, 0)
        assert layout.where(part(graph.reshaped(x, (4, 5)), slice(1, 3))) == Place(p.WORK, 5)
        assert layout.where(graph.rearranged(x, lambda a: a[4:8].reshape(2, 1, 2, 1))) == Place(p.WORK, 4)
        for view in (
            part(x, slice(None, None, 2)),
            graph.rearranged(x, np.flip),
            graph.rearranged(graph.reshaped(x, (4, 5)), np.transpose),
            graph.stretched(x, (2, 20)),
            part(x, [1, 2]),
        ):
            assert layout.where(view) is None

    def test_views_of_large_constants_stand_in_them(self, graph, monkeypatch):
        monkeypatch.setattr("gradopt._tape.graph.graph._SMALL", 100)
        layout = Layout(graph.x)
        large = graph.constant(np.arange(1000.0))
        assert layout.where(part(large, slice(100, 900))) == Place(p.CONSTANTS, 100)
        assert layout.where(part(large, slice(None, None, -1))) is None
        small = layout.where(part(large, slice(0, 400, 2)))  # is known, and has a place of its own
        assert small.array == p.WORK
        assert sum(known.node.size for known in layout.known) == 1200

    def test_numbers_stand_somewhere_in_any_view(self, graph, layout):
        x = graph.x
        assert layout.where_scalar(part(x, 7)) == Place(p.WORK, 7)
        assert layout.where_scalar(part(part(x, slice(None, None, -1)), slice(3, 4))) == Place(p.WORK, 16)
        at = graph.view(x, Geometry(0, None, Positions(np.array([5]))), (1,))
        assert layout.where_scalar(at) == Place(p.WORK, 5)
        number = graph.constant(2.5)
        assert layout.where_scalar(number) == layout.where_scalar(number) == Place(p.WORK, 20)

    def test_a_node_keeps_its_place(self, graph, layout):
        node = graph("sin", graph.x)
        assert layout.own_place(node) == layout.own_place(node) == 32
        layout.put(node, Place(p.GRAD, 0))
        assert layout.where(node) == Place(p.GRAD, 0)

    def test_a_number_that_stands_many_times_does_so_once_for_each_length(self, graph, layout):
        number = graph.constant(2.5)
        places = [layout.filled(number, times) for times in (64, 64, 32)]
        assert places[0] == places[1] != places[2]
        assert [(known.place, known.times) for known in layout.known] == [(places[0], 64), (places[2], 32)]

    def test_tables_say_offset_axes_lengths_and_strides(self, layout):
        turned = Geometry(3, (1, 4))
        assert layout.table(Place(p.WORK, 100), turned, (2, 5)) == (False, 0)
        assert layout.tables == [103, 2, 5, 4, 2, 1]
        assert layout.table(Place(p.WORK, 100), turned, (2, 5)) == (False, 0)
        assert layout.table(Place(p.WORK, 101), turned, (2, 5)) == (False, 6)
        assert layout.table(Place(p.WORK, 100), turned, (2, 4)) == (False, 12)
        listed = Geometry(0, None, Positions(np.array([[2, 0], [1, 1]])))
        assert layout.table(Place(p.WORK, 50), listed, (2, 2)) == (True, 18)
        assert layout.tables[18:] == [52, 50, 51, 51]


SAMPLES = np.array([0.0, 1.0, -1.0, 0.3, -2.5, 7.0, 1e-9, 0.5, np.inf, -np.inf, np.nan])


class TestInstructions:
    def test_every_operation_has_one_of_its_own(self):
        numbers = {name: op.opcode(name) for name in OPERATIONS}
        assert numbers.pop("real") == numbers.pop("held") == numbers["copy"] == op.REAL
        assert sorted(numbers.values()) == list(range(len(numbers)))
        assert max(numbers.values()) < op.GET

    def test_the_expensive_ones_are_the_last(self):
        for name, operation in OPERATIONS.items():
            assert (op.opcode(name) >= op.FIRST_EXPENSIVE) == operation.expensive, name

    def test_those_beyond_the_operations_are_distinct_too(self):
        moves = [op.GET, op.PUT, op.ADD_TO, op.FILL, op.LOAD, op.STORE]
        moves += [op.LOAD_VIEW, op.STORE_VIEW, op.LOAD_AT, op.STORE_AT]
        assert len({*moves, *SCALAR_FORMS}) == len(moves) + 6
        assert max(moves) < op.PLUS  # as the machine distinguishes them

    def test_combinations_are_numbered_as_in_a_graph(self):
        numbers = [p.COMBINE_ADD, p.COMBINE_MULTIPLY, p.COMBINE_MAXIMUM, p.COMBINE_MINIMUM]
        assert [HOW.index(how) for how in ("add", "multiply", "maximum", "minimum")] == numbers
        assert p.REPLACE == len(HOW)
        assert all(op.opcode(how) < op.FIRST_EXPENSIVE for how in HOW)

    @pytest.mark.parametrize("name", OPERATIONS)
    def test_each_computes_what_numpy_does(self, name):
        function, number = OPERATIONS[name].numpy, op.opcode(name)
        count = INPUTS[number]
        inputs = np.array(np.meshgrid(*[SAMPLES] * count)).reshape(count, -1)
        if name == "where":
            inputs = inputs[:, ~np.isnan(inputs[0])]
        if name == "zeta":
            inputs = inputs[:, np.isfinite(inputs[0])]
        with np.errstate(all="ignore"):
            wanted = np.asarray(function(*inputs), float)
            found = [of_scalar(number, *[*one, one[0], one[0]][:3], 0.0, 0.5, 1.0) for one in inputs.T]
        np.testing.assert_allclose(np.array(found, float), wanted, rtol=1e-14, atol=0)

    @pytest.mark.parametrize("name", sorted(op.WITH_SCALAR))
    def test_a_number_may_be_either_input(self, name):
        first, second = op.WITH_SCALAR[name]
        by_number = {
            op.PLUS: lambda a, number: a + number,
            op.TIMES: lambda a, number: a * number,
            op.MINUS: lambda a, number: a - number,
            op.FROM: lambda a, number: number - a,
            op.OVER: lambda a, number: a / number,
            op.UNDER: lambda a, number: number / a,
        }
        function = OPERATIONS[name].numpy
        assert by_number[first](8.0, 2.0) == function(2.0, 8.0)
        assert by_number[second](8.0, 2.0) == function(8.0, 2.0)
