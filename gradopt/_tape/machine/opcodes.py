"""The instructions of the machine, by number.

The elementwise operations have the same names as in a graph (`graph.operations`).
"""

from __future__ import annotations

# fmt: off
(
    COPY, ADD, SUBTRACT, MULTIPLY, DIVIDE, NEGATIVE, MAXIMUM, MINIMUM, SHARE, WHERE, ABSOLUTE, SIGN, FLOOR,
    CEIL, TRUNC, RINT, SQRT, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, EQUAL, NOT_EQUAL, LOGICAL_AND,
    LOGICAL_OR, LOGICAL_NOT,
    POWER, EXP, EXPM1, LOG, LOG1P, SIN, COS, TAN, ARCSIN, ARCCOS, ARCTAN, ARCTAN2, SINH, COSH, TANH, ARCSINH,
    ARCCOSH, ARCTANH, EXPIT, LOGADDEXP, ERF, REMAINDER, FLOOR_DIVIDE, HYPOT,
    GAMMALN, LOGGAMMA, GAMMA, PSI, ZETA, BETALN, BETA, ERFC, ERFCX, ERFINV, ERFCINV, DAWSN, NDTR, LOG_NDTR, NDTRI,
    WOFZ_REAL, WOFZ_IMAG, LOGIT, XLOGY, XLOG1PY, ENTR, REL_ENTR, KL_DIV, EXP1, EXPI, SPENCE, I0, I1, I0E, I1E, J0, J1,
    Y0, Y1, K0, K1, K0E, K1E, JV, YV, IV, KV, GAMMAINC, GAMMAINCC, BETAINC, STDTR,
) = range(96)
# fmt: on

FIRST_EXPENSIVE = POWER  # from here on, keeping a result is cheaper than computing it again
FIRST_SPECIAL = GAMMALN  # from here on, scipy's functions

# Instructions beyond the elementwise operations. Those on pieces work by elements in a line, by a geometry, by places.
GET, PUT, ADD_TO, FILL, LOAD, STORE, LOAD_VIEW, STORE_VIEW, LOAD_AT, STORE_AT = range(200, 210)

# Instructions on a piece and a scalar, whose place comes second; for each operation, the instruction if its first
# input is the scalar, and if its second is.
PLUS, TIMES, MINUS, FROM, OVER, UNDER = range(210, 216)
WITH_SCALAR = {
    "add": (PLUS, PLUS),
    "multiply": (TIMES, TIMES),
    "subtract": (FROM, MINUS),
    "divide": (UNDER, OVER),
}

REAL = COPY  # booleans, integers and narrow floats as real numbers: the machine has no others
HELD = COPY


_BY_NAME = {name.lower(): number for name, number in globals().items() if name.isupper() and isinstance(number, int)}


def opcode(operation: str) -> int:
    """The number of an elementwise operation of a graph."""
    return _BY_NAME[operation]
