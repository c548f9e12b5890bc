"""Compiler pipelines with which LLVM optimises each kernel only once.

Numba optimises each function in its own library, and again in the library of each caller. For a function that becomes
part of its callers the first time is wasted, and harmful: a loop that was vectorised for arrays of any length is no
longer unrolled where the caller knows the length, and keeps small vectors out of scalar registers.
"""

from __future__ import annotations

from typing import Any

from gradopt._compiler.numba_api import compiler

NativeLowering: Any = compiler.NativeLowering


class _Part(compiler.JITCodeLibrary):  # type: ignore[misc]
    """The code of a function that becomes part of its callers: only simplified."""

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager(opt=0, loop_vectorize=False)
        passes.add_global_dead_code_eliminate_pass()
        passes.run(self._final_module, builder)


class _Whole(compiler.JITCodeLibrary):  # type: ignore[misc]
    """The code of a function that is called, including its inlined parts."""

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


class _Lowering(NativeLowering):  # type: ignore[misc]
    library_class: Any

    def run_pass(self, state: Any) -> bool:
        state.library = self.library_class(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return bool(super().run_pass(state))


@compiler.register_pass(mutates_CFG=True, analysis_only=False)
class _LoweringOfPart(_Lowering):
    _name: Any = "gradopt_lowering_of_part"
    library_class = _Part


@compiler.register_pass(mutates_CFG=True, analysis_only=False)
class _LoweringOfWhole(_Lowering):
    _name: Any = "gradopt_lowering_of_whole"
    library_class = _Whole


class WholeCompiler(compiler.CompilerBase):  # type: ignore[misc]
    """Numba's pipeline for a function that is called."""

    lowering: Any = _LoweringOfWhole

    def define_pipelines(self) -> list[Any]:
        usual = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline = compiler.PassManager("gradopt")
        pipeline.passes = [(self.lowering if kind is NativeLowering else kind, what) for kind, what in usual.passes]
        pipeline.finalize()
        return [pipeline]


class PartCompiler(WholeCompiler):
    """Numba's pipeline for a function that becomes part of its callers."""

    lowering = _LoweringOfPart
