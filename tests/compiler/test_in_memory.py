"""Tuples in memory, as compiled code reads them, and the types by which it is chosen."""

import ctypes
import itertools

import numba
import numpy as np
import pytest

from gradopt._compiler import TupleInMemory, numba_api, type_of, unpacking

from marks import compiled_only

if numba_api.lowering is None:
    pytest.skip("Numba's public interface has no addresses", allow_module_level=True)

from gradopt._compiler.lowered.by_address import _size, _store, _words

ARRAYS = {
    "a vector": np.arange(3.0),
    "a matrix": np.arange(6.0).reshape(2, 3),
    "a turned matrix": np.arange(6.0).reshape(2, 3).T,
    "every second element": np.arange(7.0)[1::2],
    "backwards": np.arange(4.0)[::-1],
    "a repeated row": np.broadcast_to(np.arange(2.0), (3, 2)),
    "no elements": np.zeros((0, 3)),
    "a number": np.array(2.5),
    "integers": np.arange(3),
    "narrow integers": np.arange(3, dtype=np.uint8),
    "truth": np.array([True, False]),
    "single precision": np.arange(3, dtype=np.float32),
    "complex numbers": np.array([1.0 + 2.0j]),
    "four axes": np.arange(24.0).reshape(2, 3, 2, 2)[:, ::-1, :, 1:],
}
OTHERS = {
    "numbers": (1, 2.5, True, 1.0 + 2.0j),
    "numbers of NumPy": (np.float32(0.5), np.int8(3)),
    "nothing": (None, 1.0),
    "an array and a number": (np.arange(3.0), 2),
    "a tuple of tuples": ((np.arange(3.0), (1, np.arange(4.0).reshape(2, 2)[:, 1])), 2.5),
    "an empty tuple": ((), 1.0),
}


class TestWords:
    @pytest.mark.parametrize("name", ARRAYS)
    def test_of_an_array(self, name):
        array = ARRAYS[name]
        owner, parent, size, item_size, address, *layout = _words((array,))
        assert (owner, parent, size, item_size) == (0, 0, array.size, array.itemsize)
        assert address == array.ctypes.data
        assert layout == [*array.shape, *array.strides]

    def test_of_several_arrays_stand_one_after_the_other(self):
        one, other = ARRAYS["a matrix"], ARRAYS["integers"]
        assert _words((one, other)) == _words((one,)) + _words((other,))

    @pytest.mark.parametrize("name", OTHERS)
    def test_of_other_tuples_are_not_known(self, name):
        assert _words(OTHERS[name]) is None

    def test_of_records_and_of_subclasses_are_not_known_either(self):
        assert _words((np.zeros(2, "i4,f8"),)) is None
        assert _words((np.zeros(2, "M8[s]"),)) is None
        assert _words((np.ma.zeros(2),)) is None

    @compiled_only
    def test_are_those_that_compiled_code_writes(self):
        arrays = tuple(ARRAYS.values())
        words = _words(arrays)
        memory = np.full(_size(type_of(arrays)), -1)
        _store(memory, arrays)
        assert memory[: len(words)].tolist() == words
        assert len(words) <= memory.size


@compiled_only
class TestInMemory:
    @staticmethod
    def read(in_memory):
        """What compiled code finds at the address; arrays without an owner."""
        unpack = unpacking(in_memory.type)

        @numba.njit
        def read(address):
            return unpack(address)

        return read(in_memory.address)

    @pytest.mark.parametrize("value", [tuple(ARRAYS.values()), tuple(OTHERS.values())], ids=["arrays", "others"])
    def test_compiled_code_finds_the_same(self, value):
        in_memory = TupleInMemory(value)
        assert in_memory.value is value
        assert_same(self.read(in_memory), value)

    def test_the_words_are_at_the_address(self):
        value = ARRAYS["a matrix"], ARRAYS["integers"]
        in_memory, words = TupleInMemory(value), _words(value)
        assert list((ctypes.c_int64 * len(words)).from_address(in_memory.address)) == words

    def test_arrays_are_not_copied(self):
        array = np.zeros(3)
        in_memory = TupleInMemory((array,))
        array[1] = 5.0
        (found,) = self.read(in_memory)
        assert found.tolist() == [0.0, 5.0, 0.0]
        assert np.shares_memory(found, array)
        assert found.base is None

    @pytest.mark.parametrize("item", ["a", [1.0], [np.zeros(2)], np.zeros(2, "i4,f8")], ids=str)
    def test_what_nobody_would_release_is_refused(self, item):
        for value in ((item,), ((item, 1.0), np.zeros(2))):
            with pytest.raises(TypeError, match="args may"):
                TupleInMemory(value)


def assert_same(found, value):
    if isinstance(value, tuple):
        assert len(found) == len(value)
        for one, other in zip(found, value, strict=True):
            assert_same(one, other)
    elif isinstance(value, np.ndarray):
        np.testing.assert_array_equal(found, value, strict=True)
    else:
        assert found == value


@pytest.mark.parametrize("item", ["a", [1.0], {1.0}, np.zeros(2, "i4,f8")], ids=str)
def test_only_numbers_arrays_of_numbers_and_tuples_have_a_size(item):
    for value in ((item,), (1.0, (2.0, item))):
        numba_type = numba.typeof(value)
        with pytest.raises(TypeError, match="arrays of numbers"):
            _size(numba_type)


def test_sizes_are_enough():
    assert _size(numba.typeof((1.0, 2.0))) >= 2
    for arrays in itertools.combinations(ARRAYS.values(), 2):
        assert _size(type_of(arrays)) >= len(_words(arrays))


def variants():
    """Values with types that differ in one thing only, among them what `numba.typeof` alone knows."""
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    unaligned = np.zeros(17, np.uint8)[1:].view(np.float64)
    matrices = [np.zeros((3, 3)), np.zeros((3, 3), order="F"), np.zeros((6, 6))[::2, ::2]]
    arrays = [*ARRAYS.values(), *matrices, frozen, unaligned]
    values = [1.0, 1, True, None, 1j, np.float64(1.0), np.float32(1.0), np.int8(1), (), (1.0,), (1.0, 1.0), ((1.0,),)]
    values += [(1.0, 1), (1.0, None), (None,), [1.0], "a"]
    return [*values, *arrays, *[(array, 1.0) for array in arrays], *[(array, (array, 2)) for array in arrays]]


def test_types_are_those_that_numba_gives():
    values = variants()
    for value in [*values, *reversed(values)]:  # the second time from memory
        assert type_of(value) == numba.typeof(value)
    assert len({type_of(value) for value in values}) == len({numba.typeof(value) for value in values}) > 50


def test_the_type_of_a_named_tuple_is_its_own():
    from gradopt._loops.types import StopTests

    plain, named = (1.0, 1.0, 1.0, 1.0), StopTests(1.0, 1.0, 1.0, 1.0)
    assert type_of(plain) != type_of(named) == numba.typeof(named)
