"""Dense networks: their description, flat parameter vector, and forward and backward passes layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from gradopt._core import validate
from gradopt._core.config import Config, config
from gradopt._network.activations import ACTIVATIONS
from gradopt._network.inputs import SparseRows
from gradopt._network.passes import BLOCK_ROWS, Scratch, Shape, backward, forward, outputs_of, scratch

_SCHEMES = ("he", "glorot", "lecun", "zeros")
_RELU_AND_ITS_KIN = ("relu", "leaky_relu", "softplus", "gelu", "silu")


_SHOWN = 4  # layers at the beginning and at the end of a deep network


@config
class Dense(Config):
    """A dense layer: x -> activation(x weight + bias) for each row x.

    Parameters
    ----------
    n_in, n_out : int
        The widths, >= 1. The weight is (n_in, n_out), the bias (n_out,).
    activation : {"identity", "relu", "leaky_relu", "tanh", "sigmoid", "softplus", "gelu", "silu"}
        leaky_relu has slope 0.01 below 0; gelu is the exact form, with erf; relu has slope 1 at 0.
    bias : bool
        Whether the layer has a bias.

    Raises
    ------
    TypeError, ValueError
        A parameter is not one of the above.

    Examples
    --------
    >>> import gradopt
    >>> gradopt.Dense(64, 32, "relu")
    Dense(n_in=64, n_out=32, activation='relu', bias=True)
    """

    n_in: int
    n_out: int
    activation: str = "identity"
    bias: bool = True

    def __post_init__(self) -> None:
        self._check("n_in", validate.integer, 1)
        self._check("n_out", validate.integer, 1)
        self._check("activation", validate.choice, ACTIVATIONS)
        self._check("bias", validate.flag)

    @property
    def n(self) -> int:
        """The number of parameters."""
        return self.n_out * (self.n_in + self.bias)


@config
class Network(Config):
    """A network of dense layers, one after the other.

    All parameters form one flat vector theta (n,): for each layer the weight, row by row, then the bias.

    Parameters
    ----------
    layers : sequence of Dense
        At least one; the n_in of each layer must be the n_out of the one before.

    Raises
    ------
    TypeError, ValueError
        The layers do not fit together.

    Notes
    -----
    Counterpart: torch.nn.Sequential of torch.nn.Linear and activations, whose weights are (n_out, n_in).

    Examples
    --------
    >>> import gradopt
    >>> net = gradopt.Network([gradopt.Dense(3, 4, "tanh"), gradopt.Dense(4, 2)])
    >>> net.n, net == gradopt.Network.mlp([3, 4, 2], activation="tanh")
    (26, True)
    >>> theta = net.init(rng=0)
    >>> net.forward(theta, [[0.0, 0.0, 0.0]])
    array([[0., 0.]])
    """

    layers: Sequence[Dense]

    Lowered = Shape

    def __post_init__(self) -> None:
        layers = self.layers
        if isinstance(layers, Dense) or not isinstance(layers, Sequence):
            raise TypeError(f"layers must be a sequence of Dense, got {validate.shown(layers)}")
        for layer in layers:
            if not isinstance(layer, Dense):
                raise TypeError(f"layers must be a sequence of Dense, got {validate.shown(layer)} among them")
        if not layers:
            raise ValueError("layers must contain at least one layer, got none")
        for i, (one, following) in enumerate(pairwise(layers)):
            if one.n_out != following.n_in:
                raise ValueError(f"layer {i + 1} must have n_in={one.n_out}, the n_out of layer {i}, got {following}")
        object.__setattr__(self, "layers", tuple(layers))

    @classmethod
    def mlp(cls, sizes: Sequence[int], activation: str = "relu", output: str = "identity") -> Network:
        """A multilayer perceptron with these widths.

        Parameters
        ----------
        sizes : sequence of int
            The width of the input, of each hidden layer, and of the output.
        activation, output : str
            The activation of the hidden layers, and of the last one; as for `Dense`.

        Returns
        -------
        Network

        Raises
        ------
        TypeError, ValueError
            There are fewer than two widths, or they are not positive integers; or an activation is unknown.

        Examples
        --------
        >>> import gradopt
        >>> gradopt.Network.mlp([64, 10])
        Network([Dense(n_in=64, n_out=10, activation='identity', bias=True)])
        """
        if isinstance(sizes, str) or not np.iterable(sizes) or len(list(sizes)) < 2:
            raise ValueError(f"sizes must be at least two widths, got {validate.shown(sizes)}")
        sizes = [validate.integer(f"sizes[{i}]", size, 1) for i, size in enumerate(sizes)]
        validate.choice("activation", activation, ACTIVATIONS)
        validate.choice("output", output, ACTIVATIONS)
        activations = [activation] * (len(sizes) - 2) + [output]
        return cls([Dense(m, n, a) for (m, n), a in zip(pairwise(sizes), activations, strict=True)])  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"Network({list(self.layers)})"

    def __str__(self) -> str:
        """The layers in a line each, with the numbers of their parameters."""
        title, *rows = self._cells()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join([title[0], *("  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)])

    def _repr_html_(self) -> str:
        """The same as a table, for notebooks."""
        title, *rows = self._cells()
        lines = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in rows)
        return f"<table><caption>{title[0]}</caption>{lines}</table>"

    def _cells(self) -> list[list[str]]:
        rows = [
            [
                f"{layer.n_in} to {layer.n_out}",
                layer.activation,
                _counted(layer.n) + ("" if layer.bias else ", no bias"),
            ]
            for layer in self.layers
        ]
        if len(rows) > 2 * _SHOWN + 1:
            rows[_SHOWN:-_SHOWN] = [[f"... {len(rows) - 2 * _SHOWN} more layers", "", ""]]
        return [[f"{sizes_of(self)} network, {_counted(self.n)}"], *rows]

    def _lower(self, dtype: Any) -> Shape:
        return Shape(
            np.array([self.n_in, *(layer.n_out for layer in self.layers)]),
            np.array([ACTIVATIONS.index(layer.activation) for layer in self.layers]),
            np.array([int(layer.bias) for layer in self.layers]),
            np.zeros(len(self.layers), np.int64),
        )

    @property
    def n(self) -> int:
        """The number of parameters."""
        return sum(layer.n for layer in self.layers)

    @property
    def n_in(self) -> int:
        """The width of the input."""
        return self.layers[0].n_in

    @property
    def n_out(self) -> int:
        """The width of the output."""
        return self.layers[-1].n_out

    def init(self, rng: Any = None, scheme: str | None = None, dtype: Any = np.float64) -> NDArray[Any]:
        """Draw a parameter vector; biases are 0.

        Parameters
        ----------
        rng : None, int or numpy.random.Generator
            Source of the weights, as for numpy.random.default_rng.
        scheme : {"he", "glorot", "lecun", "zeros", None}
            he: normal with variance 2 / n_in (K. He et al., 2015). glorot: uniform within sqrt(6 / (n_in + n_out))
            (X. Glorot and Y. Bengio, 2010). lecun: normal with variance 1 / n_in (Y. LeCun et al., 1998). None: he for
            layers with relu, leaky_relu, softplus, gelu or silu, glorot for others.
        dtype : dtype
            float64 or float32.

        Returns
        -------
        ndarray (n,)

        Raises
        ------
        ValueError
            scheme or dtype is not one of the above.

        Examples
        --------
        >>> import gradopt
        >>> gradopt.Network.mlp([2, 1]).init(rng=0).round(3)
        array([ 0.387, -0.651,  0.   ])
        """
        if scheme is not None:
            validate.choice("scheme", scheme, (*_SCHEMES, None))
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, got {validate.shown(dtype)}")
        rng = validate.generator("rng", rng)
        theta = np.zeros(self.n, dtype)
        for layer, (weight, _) in zip(self.layers, self.layers_of(theta), strict=True):
            chosen = scheme or ("he" if layer.activation in _RELU_AND_ITS_KIN else "glorot")
            if chosen == "glorot":
                limit = np.sqrt(6.0 / (layer.n_in + layer.n_out))
                weight[:] = rng.uniform(-limit, limit, weight.shape)
            elif chosen != "zeros":
                weight[:] = rng.normal(0.0, np.sqrt((2.0 if chosen == "he" else 1.0) / layer.n_in), weight.shape)
        return theta

    def layers_of(self, theta: Any) -> list[tuple[NDArray[Any], NDArray[Any] | None]]:
        """The weight and the bias of each layer, as views of a parameter vector or a gradient.

        Parameters
        ----------
        theta : ndarray (n,)
            Parameters, or any array of their shape.

        Returns
        -------
        list of (ndarray (n_in, n_out), ndarray (n_out,) or None)

        Raises
        ------
        ValueError
            theta is not an array (n,).

        Examples
        --------
        >>> import gradopt
        >>> net = gradopt.Network.mlp([2, 1])
        >>> theta = net.init(scheme="zeros")
        >>> weight, bias = net.layers_of(theta)[0]
        >>> weight[:] = [[1.0], [2.0]]
        >>> theta
        array([1., 2., 0.])
        """
        theta = np.asarray(theta)
        if theta.shape != (self.n,):
            raise ValueError(f"theta must have shape ({self.n},) for this network, got {theta.shape}")
        layers, at = [], 0
        for layer in self.layers:
            end = at + layer.n_in * layer.n_out
            bias = theta[end : end + layer.n_out] if layer.bias else None
            layers.append((theta[at:end].reshape(layer.n_in, layer.n_out), bias))
            at += layer.n
        return layers

    def parameter_name(self, i: int) -> str:
        """The name of element i of theta, such as "layer 1 bias[0]".

        Examples
        --------
        >>> import gradopt
        >>> gradopt.Network.mlp([2, 3, 1]).parameter_name(4)
        'layer 0 weight[1, 1]'
        """
        number = 0
        while i >= self.layers[number].n:
            i -= self.layers[number].n
            number += 1
        layer = self.layers[number]
        row, column = divmod(i, layer.n_out)
        return f"layer {number} bias[{column}]" if row == layer.n_in else f"layer {number} weight[{row}, {column}]"

    def forward(self, theta: Any, X: Any) -> NDArray[Any]:
        """The raw outputs.

        Parameters
        ----------
        theta : array_like (n,)
            The parameters; float32 is computed in float32, everything else in float64.
        X : array_like or sparse matrix (rows, n_in)
            The inputs, finite.

        Returns
        -------
        ndarray (rows, n_out)

        Raises
        ------
        ValueError
            A shape is wrong, or X is not finite.

        Examples
        --------
        >>> import gradopt
        >>> gradopt.Network.mlp([2, 1]).forward([1.0, 2.0, 0.5], [[1.0, 1.0], [0.0, 2.0]])
        array([[3.5],
               [4.5]])
        """
        if not issparse(X):
            theta, X = self._checked(theta, X)
            return self._forward(theta, X, None, len(X))
        theta, X = self._checked_theta(theta), self.checked_sparse("X", X)
        values = X.data.astype(theta.dtype)
        sparse = SparseRows(values, X.indices.astype(np.int64), X.indptr.astype(np.int64))
        return self._forward(theta, np.empty((0, self.n_in), theta.dtype), sparse, X.shape[0])

    def _forward(self, theta: NDArray[Any], X: NDArray[Any], sparse: SparseRows | None, rows: int) -> NDArray[Any]:
        shape, out = self.lower(), np.empty((rows, self.n_out), theta.dtype)
        work = scratch(shape.sizes, min(rows, BLOCK_ROWS), theta.dtype)
        outputs_of(out, shape, work, X, sparse, theta, np.arange(rows), True)
        return out

    def activations(self, theta: Any, X: Any) -> list[NDArray[Any]]:
        """The output of every layer, first to last.

        Parameters
        ----------
        theta : array_like (n,)
            As for `forward`.
        X : array_like (rows, n_in)
            As for `forward`.

        Returns
        -------
        list of ndarray (rows, n_out of the layer)

        Raises
        ------
        ValueError
            As for `forward`.

        Examples
        --------
        >>> import gradopt
        >>> net = gradopt.Network([gradopt.Dense(1, 1, "relu"), gradopt.Dense(1, 1)])
        >>> net.activations([1.0, 0.0, 3.0, 1.0], [[-1.0], [2.0]])
        [array([[0.],
               [2.]]), array([[1.],
               [7.]])]
        """
        theta, X = self._checked(theta, X)
        work = self._after_forward(theta, X)
        outputs, at = [], 0
        for layer in self.layers:
            end = at + len(X) * layer.n_out
            outputs.append(work.outputs[at:end].reshape(len(X), layer.n_out))
            at = end
        return outputs

    def backward(self, theta: Any, X: Any, d_out: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Backpropagation: the gradient with respect to theta and X, from the one with respect to the outputs.

        Parameters
        ----------
        theta : array_like (n,)
            As for `forward`.
        X : array_like (rows, n_in)
            As for `forward`.
        d_out : array_like (rows, n_out)
            The gradient of a loss with respect to the outputs.

        Returns
        -------
        d_theta : ndarray (n,)
        d_X : ndarray (rows, n_in)

        Raises
        ------
        ValueError
            As for `forward`, or d_out does not fit.

        Examples
        --------
        >>> import gradopt
        >>> gradopt.Network.mlp([2, 1]).backward([1.0, 2.0, 0.5], [[3.0, 4.0]], [[1.0]])
        (array([3., 4., 1.]), array([[1., 2.]]))
        """
        theta, X = self._checked(theta, X)
        d_out = validate.array("d_out", d_out, 2, theta.dtype, finite=False)
        if d_out.shape != (len(X), self.n_out):
            raise ValueError(f"d_out must have shape {(len(X), self.n_out)}, got {d_out.shape}")
        work, d_theta = self._after_forward(theta, X), np.empty_like(theta)
        work.d[: d_out.size] = d_out.reshape(-1)
        backward(self.lower(), d_theta, work, X, theta, 0, True)
        return d_theta, work.d[: X.size].reshape(X.shape).copy()

    def _after_forward(self, theta: NDArray[Any], X: NDArray[Any]) -> Scratch:
        shape = self.lower()
        work = scratch(shape.sizes, len(X), theta.dtype)
        forward(shape, work, X, theta, None, work.ones)
        return work

    def _checked(self, theta: Any, X: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        theta = self._checked_theta(theta)
        return theta, self.checked_rows("X", X, theta.dtype)

    def _checked_theta(self, theta: Any) -> NDArray[Any]:
        theta = validate.array("theta", theta, 1, finite=False)
        if theta.size != self.n:
            raise ValueError(f"theta must have {self.n} elements for this network, got {theta.size}")
        return theta  # type: ignore[no-any-return]

    def checked_sparse(self, name: str, X: Any) -> Any:
        """A sparse X as a new scipy.sparse.csr_array of floats (rows, n_in)."""
        if X.ndim != 2 or X.dtype.kind not in "biuf" or 0 in X.shape:
            raise ValueError(f"{name} must be a real, two-dimensional sparse matrix, got {validate.shown(X)}")
        X = csr_array(X, dtype=np.float32 if X.dtype == np.float32 else np.float64, copy=True)
        if X.shape[1] != self.n_in:
            raise ValueError(
                f"{name} must have {self.n_in} columns, the width of the network's input, got {X.shape[1]}"
            )
        bad = ~np.isfinite(X.data)
        if bad.any():
            at = int(np.argmax(bad))
            row = int(np.searchsorted(X.indptr, at, side="right")) - 1
            raise ValueError(f"{name} must be finite, got {X.data[at]} at [{row}, {X.indices[at]}]")
        return X

    def checked_rows(self, name: str, X: Any, dtype: Any = None) -> NDArray[Any]:
        """X as a new float array (rows, n_in); raises a ValueError that calls it `name`."""
        X = validate.array(name, X, 2, dtype)
        if X.shape[1] != self.n_in:
            raise ValueError(
                f"{name} must have {self.n_in} columns, the width of the network's input, got {X.shape[1]}"
            )
        return X  # type: ignore[no-any-return]


def sizes_of(network: Network) -> str:
    """The widths of the input and of the layers, such as "16-8-2"; those in the middle of a deep network left out."""
    sizes = [str(network.n_in), *(str(layer.n_out) for layer in network.layers)]
    if len(sizes) > 2 * _SHOWN + 1:
        sizes[_SHOWN:-_SHOWN] = ["..."]
    return "-".join(sizes)


def _counted(n: int) -> str:
    return "1 parameter" if n == 1 else f"{n} parameters"
