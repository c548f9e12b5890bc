"""What a user's function takes from outside: what is data, and when two functions are the same to the compiler."""

import weakref
from types import FunctionType, ModuleType

import numpy as np
import pytest

from gradopt._compiler.outside import outside_of

rate = 2.0
table = np.arange(3.0)


def helper(x):
    return rate * x


def with_number(x):
    return rate * x


def with_table(x):
    return table * x


def with_helper(x):
    return helper(x) + 1.0


def countdown(x, n):
    return x if n == 0 else countdown(x, n - 1)


def there(x, n):
    return x if n == 0 else back(x, n - 1)


def back(x, n):
    return there(x, n)


def of_default(default):
    def f(x, factor=default):
        return factor * x

    return f


def of_keyword(default):
    def f(x, *, factor=default):
        return factor * x

    return f


def of_closure(value):
    def f(x):
        return value * x

    return f


def of_helper(value):
    def inner(x):
        return value * x

    def f(x):
        return inner(x) + 1.0

    return f


def of_two_helpers(value):
    inner = of_helper(value)
    return of_closure(inner)


def of_lambda(value):
    return lambda x: (lambda y: value * y)(x)


MAKERS = [of_default, of_keyword, of_closure, of_helper, of_two_helpers, of_lambda]


def copy_of(function):
    """Another function with the same code."""
    copy = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def key(function):
    return outside_of(function).key


class TestKeys:
    @pytest.mark.parametrize("make", MAKERS)
    @pytest.mark.parametrize("value", [2, 2.0, "a", True, None, 1j, float("nan")], ids=str)
    def test_of_the_same_code_and_numbers_are_one(self, make, value):
        one, other = key(make(value)), key(make(value))
        assert one == other
        assert hash(one) == hash(other)

    @pytest.mark.parametrize("make", MAKERS)
    @pytest.mark.parametrize(
        ("value", "other"),
        [(2, 3), (2.0, 2), (1, True), ("1", 1), (None, 0), (2, np.int64(2)), ((1, 2), (1, 3))],
        ids=str,
    )
    def test_of_other_constants_are_others(self, make, value, other):
        assert key(make(value)) != key(make(other))

    @pytest.mark.parametrize("make", MAKERS)
    @pytest.mark.parametrize(
        ("value", "other"),
        [(2.0, 3.0), (np.ones(3), np.zeros(3)), (np.ones(3), np.ones(2)), ((1.0, 2), (2.0, 3)), (1.0, 1j)],
        ids=["floats", "arrays", "shapes", "tuples", "complex"],
    )
    def test_do_not_depend_on_data(self, make, value, other):
        assert key(make(value)) == key(make(other))

    def test_of_other_code_are_others(self):
        keys = [key(f) for f in (lambda x: x + 1.0, lambda x: x + 2.0, lambda y: y + 1.0, lambda x: x - 1.0)]
        assert len(set(keys)) == 4
        assert len({key(make(2.0)) for make in MAKERS}) == len(MAKERS)

    def test_of_one_more_default_are_others(self):
        one, other = copy_of(with_number), copy_of(with_number)
        other.__defaults__ = (2.0,)
        assert key(one) != key(other)

    def test_see_that_a_helper_is_another_one(self, monkeypatch):
        before = key(with_helper)
        monkeypatch.setitem(globals(), "helper", copy_of(helper))
        assert key(with_helper) == before
        monkeypatch.setitem(globals(), "helper", with_table)
        assert key(with_helper) != before

    def test_see_that_a_global_is_gone(self, monkeypatch):
        before = key(with_number)
        monkeypatch.delitem(globals(), "rate")
        assert key(with_number) != before

    def test_do_not_see_what_they_do_not_use(self, monkeypatch):
        before = key(with_number)
        monkeypatch.setitem(globals(), "table", 5)
        assert key(with_number) == before

    def test_with_a_closure_that_is_still_empty(self):
        def f(x):
            return x if later is None else later * x

        empty = key(f)
        later = 2.0
        assert key(f) != empty

    def test_of_functions_that_call_themselves_come_to_an_end(self):
        for function in (countdown, there, back):
            assert key(function) == key(function)
        assert key(countdown) != key(copy_of(countdown))  # which calls another one than itself
        assert key(there) != key(back)

    def test_do_not_mix_a_global_with_a_variable_of_a_closure_of_the_same_name(self):
        def make(table):
            def function(x):
                return x.table * table  # the attribute has the name of a global, too

            return function

        assert key(make(2)) == key(make(2))
        assert key(make(2)) != key(make(3))
        assert outside_of(make(2.0)).data[0] == 2.0

    def test_tell_defaults_of_keywords_by_their_names(self):
        def make(a, b):
            def function(x, *, a=a, b=b):
                return x * a + b

            return function

        assert key(make(1, 2)) != key(make(2, 1))
        one, other = make(1, 2), make(1, 2)
        one.__kwdefaults__, other.__kwdefaults__ = {"a": 1}, {"b": 1}
        assert key(one) != key(other)

    @pytest.mark.parametrize("make", MAKERS)
    def test_of_objects_are_those_of_the_same_object(self, make):
        class Thing:
            pass

        one, other = Thing(), Thing()
        assert key(make(one)) == key(make(one)) != key(make(other))

    @pytest.mark.parametrize("make", MAKERS)
    def test_keep_nothing_alive(self, make):
        array, thing = np.ones(3), type("Thing", (), {})()
        references = weakref.ref(array), weakref.ref(thing)
        keys = key(make(array)), key(make(thing)), key(make([array]))
        del array, thing
        assert keys
        assert [reference() for reference in references] == [None, None]

    @pytest.mark.parametrize("value", [[1.0], {}], ids=["list", "dict"])
    def test_of_objects_without_weak_references_are_not_certain(self, value):
        assert not outside_of(of_closure(value)).certain
        assert not outside_of(of_two_helpers(value)).certain
        assert outside_of(of_closure(1.0)).certain


class TestData:
    @pytest.mark.parametrize(
        "value", [2.0, 1j, np.float32(2.0), np.ones(3), (1.0, 2), (np.ones(2), (1.0, "x"))], ids=str
    )
    def test_are_floats_arrays_and_tuples_of_these(self, value):
        text = isinstance(value, tuple) and isinstance(value[1], tuple)
        assert (outside_of(of_closure(value)).data == ()) == text

    def test_of_helpers_are_nested(self):
        assert outside_of(of_two_helpers(2.0)).data == (((2.0,),),)
        assert outside_of(with_helper).data == ((rate,),)

    def test_are_those_of_now(self, monkeypatch):
        assert outside_of(with_table).data[0] is table
        other = table + 1
        monkeypatch.setitem(globals(), "table", other)
        assert outside_of(with_table).data[0] is other

    def test_of_a_number_of_a_class_of_its_own_are_none(self):
        class Rate(float):
            pass

        assert outside_of(of_closure(Rate(2.0))).data == ()

    def test_stand_in_modules_of_users_too(self, monkeypatch):
        settings = ModuleType("settings")
        settings.rate, settings.count, settings.double = 2.0, 3, lambda x: 2.0 * x

        def function(x):
            return settings.rate * x * settings.count

        one = outside_of(function)
        assert one.data == (2.0,)
        settings.rate = 3.0
        assert outside_of(function).data == (3.0,)
        assert outside_of(function).key == one.key
        settings.count = 4
        assert outside_of(function).key != one.key

    def test_of_numpy_are_constants(self):
        assert outside_of(lambda x: np.pi * x).data == ()
