"""What LLVM is told directly: floating-point modes, and parts of loops that are optimised once."""

import numpy as np
import pytest
from numba import njit

import gradopt
from gradopt._compiler import copy_back, flushing, kernel, numba_api, on_stack

from marks import compiled_only

if numba_api.lowering is None or numba_api.compiler is None:
    pytest.skip("Numba's public interface has nothing of this", allow_module_level=True)

from gradopt._compiler.lowered import subnormals


@compiled_only
class TestSubnormals:
    @staticmethod
    @njit
    def tiny(x):
        return x * 0.5

    def test_are_flushed_within_the_call_only(self):
        smallest = np.float64(2.3e-308)
        assert self.tiny(smallest) > 0.0
        assert flushing(self.tiny, (smallest,)) == 0.0
        assert self.tiny(smallest) > 0.0

    @pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
    def test_the_mode_comes_back_after_an_exception(self, error):
        def fails():
            raise error

        with pytest.raises(error):
            flushing(fails, ())
        assert self.tiny(np.float64(2.3e-308)) > 0.0

    @pytest.mark.parametrize("call", [0, 1])
    def test_the_mode_comes_back_if_ctrl_c_comes_when_a_kernel_was_compiled(self, monkeypatch, call):
        """The handler of Ctrl-C runs when the compiler is done, before the new kernel is called."""
        calls = []

        def late(kernel):
            def kernel_after_compilation(*arguments):
                calls.append(arguments)
                if len(calls) == call + 1:
                    raise KeyboardInterrupt
                return kernel(*arguments)

            return kernel_after_compilation

        for name in ("_current_mode", "_restore"):
            monkeypatch.setattr(subnormals, name, late(getattr(subnormals, name)))
        with pytest.raises(KeyboardInterrupt):
            flushing(abs, (1.0,))
        assert self.tiny(np.float64(2.3e-308)) > 0.0

    def test_runs_flush_them_and_restore_the_mode(self):
        problem = gradopt.problems.Quadratic(2e-308 * np.eye(8))
        result = gradopt.optimize(problem, np.full(8, 0.25), method=gradopt.SGD(0.1), max_iter=1, gtol=0)
        assert result.jac.tolist() == [0.0] * 8
        assert problem.grad(np.full(8, 0.25)).all()

    def test_runs_restore_the_mode_after_an_error(self):
        def fails_later(x):
            return 1.0 / np.ones(3)[int(x[0])]

        with pytest.raises(IndexError):
            gradopt.optimize(fails_later, [0.0], jac=lambda x: -np.ones_like(x), method=gradopt.SGD(1.0))
        assert self.tiny(np.float64(2.3e-308)) > 0.0


@compiled_only
def test_a_loop_is_optimised_where_it_has_become_part_of_another_function():
    """Only there it is known how long it is. Optimised before, by vectors, it would not be unrolled there."""

    @kernel(inline=True)
    def move(v, w):
        for j in range(v.size):
            v[j] -= 0.5 * w[j]

    @kernel
    def repeat(length, v, w, times):
        of_v, of_w = on_stack(length, v), on_stack(length, w)
        for _ in range(times):
            move(of_v, of_w)
            for j in range(of_w.size):
                of_w[j] = 2.0 * of_v[j]
        copy_back(length, v, of_v)

    x, many = np.ones(2), np.ones(100)
    repeat((0, 0), x, x.copy(), 2)
    repeat(None, many, many.copy(), 2)
    assert {*x, *many} == {0.0}
    of_two, of_many = repeat.inspect_llvm().values()
    assert "x double>" not in of_two
    assert "x double>" in of_many
