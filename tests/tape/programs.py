"""Random programs that make arrays, write into them, branch and loop; run as a script, a search for wrong traces.

`python tests/tape/programs.py 20000 1` traces as many programs, from this seed on, and compares each with plain calls.
"""

import random
import sys
from collections import Counter

import numpy as np
from scipy import special, stats

N = 4  # the length of x, and of each side of an array

HELPERS = """
def halved(a):
    a *= 0.5
    return a

def mixed(a, b):
    out = np.empty(4)
    out[:2] = a.reshape(-1)[:2]
    out[2:] = b.reshape(-1)[1:3] ** 2
    return out

def running(a, s):
    out = np.zeros(4)
    for i in range(1, 4):
        out[i] = 0.3 * out[i - 1] + s * a.reshape(-1)[i]
    return out
"""


class Program:
    """A random program: the source of f(x), with helper functions."""

    def __init__(self, seed):
        self._random, self._vectors, self._matrices, self._numbers = random.Random(seed), ["x"], [], ["x[0]"]
        self._lines, self._count = [], 0
        for _ in range(self._random.randint(3, 10)):
            self._random.choice(self._statements)(self)
        self._lines.append(f"total = 0.1 * np.sum(x) + {' + '.join(self._numbers[:3])}")
        for i, name in enumerate(self._vectors + self._matrices):
            self._lines.append(f"total = total + np.sum(np.sin({name} * {0.3 + 0.1 * i})) + np.tanh({name}).mean()")
        self.source = (
            HELPERS + "\ndef f(x):\n    x = x * 1.0\n    " + "\n    ".join([*self._lines, "return total"]) + "\n"
        )

    def function(self):
        names = {"np": np, "special": special, "stats": stats}
        exec(self.source, names)
        return names["f"]

    def _pick(self, names):
        return self._random.choice(names)

    def _new(self, kind, value):
        self._count += 1
        name = f"v{self._count}"
        kind.append(name)
        self._lines.append(f"{name} = {value}")

    def _number(self):
        vector, i = self._pick(self._vectors), self._random.randint(-2, 1)
        return self._pick([f"{vector}[{i}]", f"{vector}[{i}] * {vector}[0]", "0.7", self._pick(self._numbers)])

    def _vector(self):
        a, b = self._pick(self._vectors), self._pick(self._vectors)
        return self._pick([a, f"({a} * {b})", f"np.cos({a})", f"({a} + {self._number()})", "1.5", f"{a}[::-1]"])

    def _make(self):
        vector = self._pick(
            [
                "np.zeros(4)",
                "np.ones(4)",
                "np.zeros_like(x)",
                f"np.array([{self._number()}, 1.0, {self._number()}, {self._number()}])",
                f"{self._pick(self._vectors)}.copy()",
                f"np.asarray({self._pick(self._vectors)}, dtype=float)",
                f"mixed({self._pick(self._vectors)}, {self._pick(self._vectors)})",
                f"running({self._pick(self._vectors)}, {self._number()})",
                f"halved({self._pick(self._vectors)})",
                "np.array([float(v) ** 2 for v in x])",
                f"np.where({self._pick(self._vectors)} > 0.4, {self._vector()}, {self._vector()})",
            ]
        )
        self._new(self._vectors, vector)

    def _make_matrix(self):
        a, b = self._pick(self._vectors), self._pick(self._vectors)
        matrix = [
            "np.zeros((4, 4))",
            "np.eye(4)",
            f"np.outer({a}, {b})",
            f"np.array([{a}, {b}, {a}, {b}])",
            f"np.diag({a})",
        ]
        self._new(self._matrices, self._pick(matrix))

    def _view(self):
        if self._matrices and self._random.random() < 0.6:
            m, i = self._pick(self._matrices), self._random.randint(0, 3)
            if self._random.random() < 0.4:
                self._new(self._matrices, self._pick([f"{m}.T", f"{m}[::-1]", f"{m}[:, ::-1]", f"{m}.reshape(4, 4)"]))
            else:
                views = [
                    f"{m}[{i}]",
                    f"{m}[:, {i}]",
                    f"{m}.ravel()[{i}:{i} + 4]",
                    f"{m}.flat[:4]",
                    f"np.diagonal({m}).copy()",
                ]
                self._new(self._vectors, self._pick(views[:3] + views[4:]))
        else:
            a = self._pick(self._vectors)
            self._new(
                self._vectors, self._pick([f"{a}[:]", f"{a}[::-1]", f"{a}.reshape(2, 2).T.ravel()", f"np.ravel({a})"])
            )

    def _write(self):
        a, v, s = self._pick(self._vectors), self._vector(), self._number()
        i = self._random.randint(-3, 3)
        self._lines.append(
            self._pick(
                [
                    f"{a}[{i}] = {s}",
                    f"{a}[{i}] += {s}",
                    f"{a}[:] = {v}",
                    f"{a} += {v}",
                    f"{a} *= {s}",
                    f"{a}[1:] = {a}[:-1] * 0.5",
                    f"{a}[::2] -= {s}",
                    f"{a}[np.array([0, 2])] = {s}",
                    f"{a}[np.array([1, 1])] = np.array([{s}, {s} * 2.0])",
                    f"{a}[np.arange(4) > 1] = {s}",
                    f"np.multiply({a}, {v}, out={a})",
                    f"np.add({a}, {v}, out={a}, where=np.arange(4) < 2)",
                    f"np.copyto({a}, {v})",
                    f"{a}.fill({s})",
                    f"np.add.at({a}, [0, 1, 1], {s})",
                    f"{a}.sort()",
                ]
            )
        )

    def _write_matrix(self):
        if not self._matrices:
            return self._make_matrix()
        m, v, s = self._pick(self._matrices), self._pick(self._vectors), self._number()
        i, j = self._random.randint(0, 3), self._random.randint(-4, 3)
        self._lines.append(
            self._pick(
                [
                    f"{m}[{i}, {j}] = {s}",
                    f"{m}[{i}] = {v}",
                    f"{m}[:, {j}] += {v}",
                    f"{m}[1:, :2] *= {s}",
                    f"{m}[np.tril_indices(4)] = {s}",
                    f"{m}[np.diag_indices(4)] = {v}",
                    f"np.fill_diagonal({m}, {s})",
                    f"{m} += {v}",
                    f"{m}[{i}, :] = {m}[:, {i}]",
                    f"{m}[...] = {m}.T * 0.5",
                    f"{m}[np.ix_([0, 2], [1, 3])] = {s}",
                ]
            )
        )

    def _append(self):
        self._lines.append(f"items = [{self._number()}]")
        self._lines.append(f"for v in {self._pick(self._vectors)}: items.append(items[-1] * 0.5 + v)")
        self._new(self._vectors, "np.array(items)[1:]")

    def _reduce(self):
        a = self._pick(self._vectors + self._matrices)
        self._new(
            self._numbers, self._pick([f"np.sum({a})", f"max({a}.ravel()[0], 0.3)", f"np.mean({a}) ** 2", f"{a}.max()"])
        )

    def _condition(self):
        a, s, border = self._pick(self._vectors), self._number(), self._random.choice([0.2, 0.45, 0.6])
        one = self._pick(
            [f"{s} > {border}", f"np.any({a} < {border})", f"{a}[0] < {a}[-1]", f"np.isfinite({s})", f"bool({s})"]
        )
        if self._random.random() < 0.3:
            return f"{one} {self._pick(['and', 'or', 'and not'])} {self._number()} < {border}"
        return f"not {one}" if self._random.random() < 0.2 else one

    def _branch(self):
        a, b, s = self._pick(self._vectors), self._vector(), self._number()
        ways = [f"{a}[1] = {s}", f"{a} *= 0.7", f"{a}[:] = {b}", f"{a}[:2] += {s}", "pass"]
        lines = [f"if {self._condition()}:", f"    {self._pick(ways)}"]
        if self._random.random() < 0.4:
            lines += [f"elif {self._condition()}:", f"    {self._pick(ways)}"]
        if self._random.random() < 0.6:
            lines += ["else:", f"    {self._pick(ways)}"]
        self._lines += lines

    def _loop(self):
        self._count += 1
        number, rounds = f"r{self._count}", f"n{self._count}"
        self._lines += [f"{number}, {rounds} = {self._number()}, 0"]
        self._lines += [f"while abs({number}) > {self._random.choice([0.15, 0.3])} and {rounds} < 6:"]
        self._lines += [f"    {number}, {rounds} = {number} * 0.6, {rounds} + 1"]
        self._numbers.append(f"({number} + 0.1 * {rounds})")

    def _choice(self):
        a, s = self._pick(self._vectors), self._number()
        self._new(
            self._numbers,
            self._pick(
                [
                    f"[1.0, 2.0, 0.5][int(abs({s}) * 3.0) % 3] * {s}",
                    f"sum({a}[i] for i in range(1 + int(abs({s}) * 2.0) % 4))",
                    f"({s} if {self._condition()} else {a}[2])",
                    f"next((v for v in {a} if v > 0.4), 0.25)",
                ]
            ),
        )

    def _algebra(self):
        a, b = self._pick(self._vectors), self._pick(self._vectors)
        definite = f"(np.outer(np.tanh({a}), np.tanh({a})) + np.diag(1.5 + np.tanh({b})))"
        self._new(
            self._vectors,
            self._pick(
                [
                    f"np.linalg.solve({definite}, {b})",
                    f"np.linalg.cholesky({definite})[2]",
                    f"np.linalg.inv({definite})[1]",
                    f"np.linalg.eigvalsh({definite})",
                    f"special.gammaln(1.5 + np.tanh({a}))",
                    f"special.log_ndtr({a})",
                    f"stats.norm.logpdf(np.tanh({a}), 0.1, 1.5 + np.tanh({b}))",
                ]
            ),
        )

    _statements = (
        *(_make, _make_matrix, _view, _view, _write, _write, _write, _write_matrix, _append, _reduce),
        *(_branch, _branch, _loop, _choice, _algebra),
    )


def difference(f, x, step=1e-6):
    """The gradient by central differences; NaN where two step sizes disagree, as beside a kink."""

    def by(h):
        return np.array([(f(x + h * row) - f(x - h * row)) / (2 * h) for row in np.eye(x.size)])

    one, other = by(step), by(3.0 * step)
    scale = max(1.0, np.max(np.abs(one)))
    return np.where(np.abs(one - other) < 1e-5 * scale, one, np.nan)


def points(x, seed):
    """Points at which branches go other ways, beside one near x."""
    rng = np.random.default_rng(seed + 10**9)
    return [x * 1.07, rng.uniform(-0.9, 0.9, N), rng.uniform(0.0, 2.0, N), x * 1.07]


def search(count, seed):
    import gradopt

    refused, wrong, near_kinks, paths = Counter(), 0, 0, 0
    for number in range(seed, seed + count):
        program = Program(number)
        f, x = program.function(), np.random.default_rng(number).uniform(0.2, 0.9, N)
        with np.errstate(all="ignore"):
            try:
                f(x.copy())
            except (ValueError, IndexError, TypeError):
                refused["not a program"] += 1
                continue
            try:
                problem = gradopt.trace(f, x)
            except gradopt.TraceError as error:
                refused[str(error).rpartition("`: ")[2][:60]] += 1
                continue
            for y in points(x, number):
                try:
                    wanted = f(y.copy())
                except (ValueError, IndexError, TypeError, np.linalg.LinAlgError):
                    continue
                try:
                    (value, grad), by_difference = problem.value_and_grad(y), difference(f, y)
                except gradopt.TraceError as error:
                    refused[str(error).rpartition("`: ")[2][:60]] += 1
                    break
                known = np.isfinite(by_difference)
                near_kinks += not known.all()
                close = np.abs(grad - by_difference)[known] <= 1e-5 * max(1.0, np.max(np.abs(grad)))
                if not np.isclose(value, wanted, rtol=1e-10, equal_nan=True) or not close.all():
                    wrong += 1
                    print(f"WRONG {number} at {y}: {value} {wanted} {grad} {by_difference}\n{program.source}")
                    break
            paths += len(problem.tape.paths.known)
    reasons = dict(refused.most_common())
    print(f"{count} programs, {paths} paths: {wrong} wrong, {near_kinks} beside a kink; refused: {reasons}")
    return wrong


if __name__ == "__main__":
    sys.exit(bool(search(int(sys.argv[1]), int(sys.argv[2]))))
