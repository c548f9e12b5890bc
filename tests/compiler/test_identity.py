"""When two of a user's functions are the same to the compiler."""

from types import FunctionType

import numpy as np
import pytest

from gradopt._compiler.identity import identity, names_in

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


class TestFunctions:
    @pytest.mark.parametrize("make", MAKERS)
    @pytest.mark.parametrize("value", [2, 2.0, "a", True, None, 1j, float("nan")], ids=str)
    def test_of_the_same_code_and_numbers_are_one(self, make, value):
        one, other = identity(make(value)), identity(make(value))
        assert one == other
        assert hash(one) == hash(other)

    @pytest.mark.parametrize("make", MAKERS)
    @pytest.mark.parametrize(
        ("value", "other"),
        [(2.0, 3.0), (2.0, 2), (1, True), (0.0, -0.0), ("1", 1), (None, 0), (2.0, np.float64(2.0)), (1.0, 1.0 + 0j)],
        ids=str,
    )
    def test_of_other_numbers_are_others(self, make, value, other):
        assert identity(make(value)) != identity(make(other))

    @pytest.mark.parametrize("make", MAKERS)
    def test_of_arrays_are_one_if_it_is_the_same_array(self, make):
        array = np.ones(3)
        assert identity(make(array)) == identity(make(array))
        assert identity(make(array)) != identity(make(array.copy()))

    def test_of_other_code_are_others(self):
        keys = [identity(f) for f in (lambda x: x + 1.0, lambda x: x + 2.0, lambda y: y + 1.0, lambda x: x - 1.0)]
        assert len(set(keys)) == 4
        assert len({identity(make(2.0)) for make in MAKERS}) == len(MAKERS)

    def test_of_one_more_default_are_others(self):
        one, other = copy_of(with_number), copy_of(with_number)
        other.__defaults__ = (2.0,)
        assert identity(one) != identity(other)

    @pytest.mark.parametrize("function", [with_number, with_helper, lambda x: with_helper(x), lambda x: [helper(x)]])
    def test_see_a_global_number_as_it_is(self, function, monkeypatch):
        before = identity(function)
        assert identity(function) == before
        monkeypatch.setitem(globals(), "rate", 3.0)
        assert identity(function) != before
        monkeypatch.setitem(globals(), "rate", 2.0)
        assert identity(function) == before

    def test_see_that_a_global_name_means_another_object(self, monkeypatch):
        before, array = identity(with_table), table
        monkeypatch.setitem(globals(), "table", table.copy())
        assert identity(with_table) != before
        monkeypatch.setitem(globals(), "table", array)
        assert identity(with_table) == before

    def test_see_that_a_helper_is_another_one(self, monkeypatch):
        before = identity(with_helper)
        monkeypatch.setitem(globals(), "helper", copy_of(helper))
        assert identity(with_helper) == before
        monkeypatch.setitem(globals(), "helper", with_table)
        assert identity(with_helper) != before

    def test_see_that_a_global_is_gone(self, monkeypatch):
        before = identity(with_number)
        monkeypatch.delitem(globals(), "rate")
        assert identity(with_number) != before

    def test_do_not_see_what_they_do_not_use(self, monkeypatch):
        before = identity(with_number)
        monkeypatch.setitem(globals(), "table", 5)
        assert identity(with_number) == before

    def test_with_a_closure_that_is_still_empty(self):
        def f(x):
            return x if later is None else later * x

        empty = identity(f)
        later = 2.0
        assert identity(f) != empty

    def test_that_call_themselves_come_to_an_end(self):
        for function in (countdown, there, back):
            assert identity(function) == identity(function)
        assert identity(countdown) != identity(copy_of(countdown))  # which calls another one than itself
        assert identity(there) != identity(back)

    def test_that_call_themselves_see_numbers_too(self, monkeypatch):
        def f(x, n):
            return rate * x if n == 0 else f(x, n - 1)

        before = identity(f)
        assert identity(f) == before
        monkeypatch.setitem(globals(), "rate", 3.0)
        assert identity(f) != before


class TestValues:
    @pytest.mark.parametrize("value", [1, 1.0, True, None, "a", 1j, np.float64(1.0)])
    def test_numbers_and_strings_count_by_value(self, value):
        key = identity(value)
        assert key == identity(type(value)(value) if value is not None else None)
        others = [1, 1.0, True, None, "a", "1.0", 1j, np.float64(1.0), 2.0]
        assert sum(identity(other) == key for other in others) == 1

    def test_a_number_of_a_class_of_its_own_is_another_one(self):
        class Rate(float):
            pass

        assert repr(Rate(2.0)) == repr(2.0)
        assert identity(Rate(2.0)) == identity(Rate(2.0)) != identity(2.0)

    @pytest.mark.parametrize("make", [list, dict, object, lambda: np.zeros(2), lambda: (1, [])])
    def test_all_else_counts_by_identity(self, make):
        one, other = make(), make()
        assert identity(one) == identity(one)
        assert identity(one) != identity(other)
        assert identity(one) != one
        assert len({identity(one), identity(one), identity(other)}) == 2

    def test_keys_keep_objects_alive(self):
        keys = {identity([i]) for i in range(100)}  # else the next list could be at the same address
        assert len(keys) == 100


def nested(x):
    def inner(y):
        return [outermost(z.attribute) for z in y if (lambda a: innermost + a)(z)]  # noqa: F821

    return inner(x)


def test_names_of_functions_inside_count():
    assert {"outermost", "innermost", "attribute"} <= names_in(nested.__code__)
    assert names_in((lambda x: [(lambda: rate) for _ in x]).__code__) == {"rate"}
    assert names_in((lambda x: x).__code__) == set()


def test_a_global_does_not_hide_a_variable_of_a_closure_of_the_same_name():
    def make(table):
        def function(x):
            return x.table * table  # the attribute has the name of a global, too

        return function

    assert identity(make(2.0)) == identity(make(2.0))
    assert identity(make(2.0)) != identity(make(3.0))


def test_defaults_of_keywords_count_by_their_names():
    def make(a, b):
        def function(x, *, a=a, b=b):
            return x * a + b

        return function

    assert identity(make(1.0, 2.0)) != identity(make(2.0, 1.0))
    one, other = make(1.0, 2.0), make(1.0, 2.0)
    one.__kwdefaults__, other.__kwdefaults__ = {"a": 1.0}, {"b": 1.0}
    assert identity(one) != identity(other)
