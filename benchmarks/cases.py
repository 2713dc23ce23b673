"""What is measured: each case is a function over a small namespace of ops, the arrays it is called on, and what is asked of it.

A case is written once and serves all peers. Names and shapes say what a case is: `mm512.fwd`, `bert1_b8.grad`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Draw = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Case:
    """`function(xp)` gives the function of the arrays that `inputs` draws.

    mode: fwd, grad (value and gradient with respect to `wrt`), sgd or adam (a training step that carries `wrt` along).
    flops and bytes: what the mathematics asks for, for rates. `from_numpy`: arrays go in and come out as NumPy's, conversion counted.
    """

    name: str
    group: str
    mode: str
    inputs: Callable[[Draw], Arrays]
    function: Callable[[Any], Callable[..., Any]]
    wrt: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    flops: float = 0.0
    bytes: float = 0.0
    from_numpy: bool = False

    def arrays(self) -> Arrays:
        """The same for every peer."""
        rng = np.random.default_rng(sum(map(ord, self.name.split(".")[0])))

        def draw(*shape: int, scale: float = 1.0) -> np.ndarray:
            return np.float32(scale) * rng.standard_normal(shape, dtype=np.float32)

        return self.inputs(draw)


CASES: dict[str, Case] = {}


def case(name: str, group: str, inputs: Callable[[Draw], Arrays], function: Callable[[Any], Callable], **settings: Any) -> None:
    CASES[name] = Case(name, group, settings.pop("mode", name.rpartition(".")[2]), inputs, function, **settings)


def squared_error(xp: Any, y: Any, target: Any) -> Any:
    error = y - target
    return xp.mean(error * error)


def find(wanted: str) -> list[Case]:
    """Cases by group, name, or beginning of a name, comma-separated; `all` of them."""
    found: dict[str, Case] = {}
    groups = {c.group for c in CASES.values()} | {"all"}
    for word in wanted.split(","):
        some = {n: c for n, c in CASES.items() if (word in ("all", c.group) if word in groups else n.startswith(word))}
        if not some:
            raise SystemExit(f"no case is called {word}: there are the groups {', '.join(dict.fromkeys(c.group for c in CASES.values()))}")
        found |= some
    return list(found.values())


# --- calls -----------------------------------------------------------------------------------------------------------


def add_ten(a, b, c, d, e, f, g, h, i, j):
    return (a + b + c + d + e + f + g + h + i + j) * 2.0 + 1.0


for suffix, from_numpy in (("", False), ("_np", True)):
    one, ten = {"a": 4}, dict.fromkeys("abcdefghij", 4)
    for label, shapes, body in (("triv1", one, lambda a: a * 2.0 + 1.0), ("triv10", ten, add_ten)):
        case(
            f"{label}{suffix}",
            "calls",
            partial(lambda shapes, draw: {k: draw(n) for k, n in shapes.items()}, shapes),
            partial(lambda body, xp: body, body),
            mode="fwd",
            from_numpy=from_numpy,
        )
case("triv1_grad", "calls", lambda draw: {"a": draw(4)}, lambda xp: lambda a: xp.sum(a * a), mode="grad", wrt=("a",))


# --- matrix products -------------------------------------------------------------------------------------------------

SQUARE = (64, 128, 256, 512, 1024, 2048)
BETWEEN = (
    (96, 96, 96),
    (100, 300, 200),
    (37, 1000, 512),
    (640, 48, 1000),
    (333, 777, 555),
    (1, 4096, 1024),
    (17, 130, 2048),
    (768, 64, 768),
    (1500, 1500, 100),
)


def product(name: str, x: tuple[int, ...], y: tuple[int, ...], function: Callable[[Any], Callable], flops: float, **more: Any) -> None:
    case(name, "matmul", lambda draw: {"a": draw(*x), "b": draw(*y)}, function, flops=flops, **more)


def plain(xp):
    return lambda a, b: xp.matmul(a, b)


for n in SQUARE:
    product(f"mm{n}.fwd", (n, n), (n, n), plain, 2.0 * n**3)
product("mm1024_nt.fwd", (1024, 1024), (1024, 1024), lambda xp: lambda a, b: xp.matmul(a, xp.transpose(b, (1, 0))), 2.0 * 1024**3)
product("mm1024_tn.fwd", (1024, 1024), (1024, 1024), lambda xp: lambda a, b: xp.matmul(xp.transpose(a, (1, 0)), b), 2.0 * 1024**3)
product("mm128x768x3072.fwd", (128, 768), (768, 3072), plain, 2.0 * 128 * 768 * 3072)
product("mv768x3072.fwd", (1, 768), (768, 3072), plain, 2.0 * 768 * 3072, bytes=4.0 * 768 * 3072)
product("bmm12.fwd", (12, 128, 64), (12, 64, 128), plain, 2.0 * 12 * 128 * 64 * 128)
for m, n, k in BETWEEN:
    product(f"mm_{m}x{k}x{n}.fwd", (m, k), (k, n), plain, 2.0 * m * n * k)


# --- feed-forward layers and a perceptron ----------------------------------------------------------------------------


def ffn_inputs(b: int, d: int, h: int, o: int, with_target: bool, draw: Draw) -> Arrays:
    arrays = {"x": draw(b, d), "W1": draw(d, h, scale=d**-0.5), "b1": draw(h), "W2": draw(h, o, scale=h**-0.5)}
    return arrays | {"t": draw(b, o)} if with_target else arrays


def ffn_sum(xp):
    return lambda x, w1, b1, w2: xp.sum(xp.matmul(xp.gelu(xp.linear(x, w1, b1)), w2))


def ffn_error(xp):
    return lambda x, w1, b1, w2, t: squared_error(xp, xp.matmul(xp.gelu(xp.linear(x, w1, b1)), w2), t)


for label, sizes, fn in (("ffn_tiny", (2, 3, 4, 2), ffn_sum), ("ffn_real", (128, 768, 3072, 768), ffn_sum), ("ffn_real_mse", (128, 768, 3072, 768), ffn_error)):
    b, d, h, o = sizes
    first, second = 2.0 * b * d * h, 2.0 * b * h * o
    inputs = partial(ffn_inputs, *sizes, fn is ffn_error)
    case(f"{label}.fwd", "ffn", inputs, fn, weights=("W1", "b1", "W2"), flops=first + second)
    case(f"{label}.grad", "ffn", inputs, fn, wrt=("W1", "b1", "W2"), flops=2 * first + 3 * second)

LAYERS = (784, 512, 256, 10)
BATCH = 128
MLP_PARAMS = tuple(f"{kind}{i}" for i in (1, 2, 3) for kind in "Wb")


def mlp_inputs(draw: Draw) -> Arrays:
    arrays = {"x": np.abs(draw(BATCH, 784, scale=0.5)), "y": np.eye(10, dtype=np.float32)[np.arange(BATCH) * 7 % 10]}
    for i, (a, b) in enumerate(itertools.pairwise(LAYERS), 1):
        arrays |= {f"W{i}": draw(a, b, scale=math.sqrt(2 / a)), f"b{i}": draw(b, scale=0.01)}
    return arrays


def mlp(xp):
    def loss(x, y, w1, b1, w2, b2, w3, b3):
        h = xp.relu(xp.linear(xp.relu(xp.linear(x, w1, b1)), w2, b2))
        return xp.xent(xp.linear(h, w3, b3), y)

    return loss


forward = 2.0 * BATCH * sum(a * b for a, b in itertools.pairwise(LAYERS))
backward = 3 * forward - 2.0 * BATCH * LAYERS[0] * LAYERS[1]
case("mlp.fwd", "mlp", mlp_inputs, mlp, weights=MLP_PARAMS, flops=forward)
for mode in ("grad", "sgd", "adam"):
    case(f"mlp.{mode}", "mlp", mlp_inputs, mlp, wrt=MLP_PARAMS, flops=backward)


# --- transformers ----------------------------------------------------------------------------------------------------

WIDTH, HEADS, INNER, LENGTH = 768, 12, 3072, 128
ENCODER = {
    **{f"{w}{n}": (WIDTH, WIDTH) if w == "W" else (WIDTH,) for n in "qkvo" for w in "Wb"},
    "g1": (WIDTH,),
    "e1": (WIDTH,),
    "W1": (WIDTH, INNER),
    "b1": (INNER,),
    "W2": (INNER, WIDTH),
    "b2": (WIDTH,),
    "g2": (WIDTH,),
    "e2": (WIDTH,),
}


def weights_of(shapes: Mapping[str, tuple[int, ...]], suffix: str, draw: Draw) -> Arrays:
    """Matrices that keep the size of what they multiply, gains about 1, offsets about 0."""
    arrays = {}
    for name, shape in shapes.items():
        noise = draw(*shape, scale=0.5 * shape[0] ** -0.5 if len(shape) == 2 else 0.1)
        arrays[name + suffix] = noise + np.float32(name[0] == "g")
    return arrays


def encoder_layer(xp, x, batch: int, w: Mapping[str, Any]):
    """Post-norm, as in BERT (Devlin et al., arXiv:1810.04805), without mask and dropout."""

    def heads(name):
        y = xp.reshape(xp.linear(x, w[f"W{name}"], w[f"b{name}"]), (batch, LENGTH, HEADS, WIDTH // HEADS))
        return xp.transpose(y, (0, 2, 1, 3))

    attended = xp.transpose(xp.attention(heads("q"), heads("k"), heads("v")), (0, 2, 1, 3))
    attended = xp.linear(xp.reshape(attended, (batch, LENGTH, WIDTH)), w["Wo"], w["bo"])
    x = xp.layernorm(x + attended, w["g1"], w["e1"])
    inner = xp.gelu(xp.linear(x, w["W1"], w["b1"]))
    return xp.layernorm(x + xp.linear(inner, w["W2"], w["b2"]), w["g2"], w["e2"])


def encoder(layers: int, batch: int, with_target: bool, xp: Any) -> Callable:
    def run(x, *rest):
        target, weights = (rest[0], rest[1:]) if with_target else (None, rest)
        for i in range(layers):
            x = encoder_layer(xp, x, batch, dict(zip(ENCODER, weights[i * len(ENCODER) :], strict=False)))
        return squared_error(xp, x, target) if with_target else x

    return run


def encoder_inputs(layers: int, batch: int, with_target: bool, draw: Draw) -> Arrays:
    arrays = {"x": draw(batch, LENGTH, WIDTH)}
    if with_target:
        arrays["t"] = draw(batch, LENGTH, WIDTH)
    for i in range(layers):
        arrays |= weights_of(ENCODER, f"_{i}", draw)
    return arrays


for layers, batch in ((1, 1), (1, 8), (12, 1), (12, 8)):
    names = tuple(f"{n}_{i}" for i in range(layers) for n in ENCODER)
    flops = layers * batch * (8.0 * LENGTH * WIDTH**2 + 4.0 * LENGTH * WIDTH * INNER + 4.0 * LENGTH**2 * WIDTH)
    label = f"bert{layers}_b{batch}"
    case(f"{label}.fwd", "bert", partial(encoder_inputs, layers, batch, False), partial(encoder, layers, batch, False), weights=names, flops=flops)
    case(f"{label}.grad", "bert", partial(encoder_inputs, layers, batch, True), partial(encoder, layers, batch, True), wrt=names, flops=3 * flops)

for length in (128, 256, 512, 1024):
    qkv = partial(lambda n, draw: {k: draw(1, 12, n, 64) for k in "qkv"}, length)
    qkvt = partial(lambda n, draw: {k: draw(1, 12, n, 64) for k in "qkvt"}, length)
    flops = 4.0 * 12 * length**2 * 64
    case(f"attention_{length}.fwd", "attention", qkv, lambda xp: lambda q, k, v: xp.attention(q, k, v), flops=flops)
    attend = lambda xp: lambda q, k, v, t: xp.sum(xp.attention(q, k, v) * t)  # noqa: E731
    case(f"attention_{length}.grad", "attention", qkvt, attend, wrt=("q", "k", "v"), flops=3.5 * flops)

PAST, VOCABULARY, DECODER_LAYERS = 127, 50257, 12
DECODER = {
    "g1": (WIDTH,),
    "e1": (WIDTH,),
    "Wqkv": (WIDTH, 3 * WIDTH),
    "bqkv": (3 * WIDTH,),
    "Wo": (WIDTH, WIDTH),
    "bo": (WIDTH,),
    "g2": (WIDTH,),
    "e2": (WIDTH,),
    "W1": (WIDTH, INNER),
    "b1": (INNER,),
    "W2": (INNER, WIDTH),
    "b2": (WIDTH,),
}
DECODER_ENDS = ("gf", "ef", "wte", "wpe")


def decoder_inputs(draw: Draw) -> Arrays:
    arrays: Arrays = {"token": np.array([464], np.int32)}
    for i in range(DECODER_LAYERS):
        arrays |= {f"{name}_{i}": draw(1, HEADS, PAST, WIDTH // HEADS) for name in ("k", "v")}
    for i in range(DECODER_LAYERS):
        arrays |= weights_of(DECODER, f"_{i}", draw)
    ends = {"gf": draw(WIDTH, scale=0.1) + np.float32(1), "ef": draw(WIDTH, scale=0.1)}
    return arrays | ends | {"wte": draw(VOCABULARY, WIDTH, scale=0.05), "wpe": draw(1024, WIDTH, scale=0.02)}


def decoder(xp):
    """One token of GPT-2 small with a cache of the 127 before it: logits, and the new rows of the cache."""

    def step(token, *rest):
        cache, weights = rest[: 2 * DECODER_LAYERS], rest[2 * DECODER_LAYERS :]
        gf, ef, wte, wpe = weights[len(DECODER) * DECODER_LAYERS :]
        x = xp.take(wte, token) + xp.rows(wpe, PAST, PAST + 1)
        new = []
        for i in range(DECODER_LAYERS):
            w = dict(zip(DECODER, weights[i * len(DECODER) :], strict=False))
            qkv = xp.linear(xp.layernorm(x, w["g1"], w["e1"]), w["Wqkv"], w["bqkv"])
            q, k, v = (xp.reshape(xp.cols(qkv, j * WIDTH, (j + 1) * WIDTH), (1, HEADS, 1, WIDTH // HEADS)) for j in range(3))
            attended = xp.attention(q, xp.concat([cache[2 * i], k], 2), xp.concat([cache[2 * i + 1], v], 2))
            x = x + xp.linear(xp.reshape(attended, (1, WIDTH)), w["Wo"], w["bo"])
            x = x + xp.linear(xp.gelu_tanh(xp.linear(xp.layernorm(x, w["g2"], w["e2"]), w["W1"], w["b1"])), w["W2"], w["b2"])
            new += [k, v]
        return [xp.matmul(xp.layernorm(x, gf, ef), xp.transpose(wte, (1, 0))), *new]

    return step


matrices = DECODER_LAYERS * (4.0 * WIDTH**2 + 2.0 * WIDTH * INNER) + VOCABULARY * WIDTH
decoder_weights = (*(f"{n}_{i}" for i in range(DECODER_LAYERS) for n in DECODER), *DECODER_ENDS)
case("gpt2_decode.fwd", "gpt2", decoder_inputs, decoder, weights=decoder_weights, flops=2 * matrices, bytes=4 * matrices)


# --- memory-bound: chains, reductions, normalizations ----------------------------------------------------------------


def chain_mix(xp, x, y):
    """Twenty pointwise ops, six of them functions or divisions."""
    t = xp.tanh(x * 1.5 + y) * x - 0.25
    t = t / (xp.exp(-t) + 1.0) * y
    t = xp.sqrt(xp.maximum(t, -1.0) * xp.maximum(t, -1.0) + 1.0) * 0.5
    t = xp.tanh(xp.log(t + 1.0) - x)
    return t * t


def chain_poly(xp, x, y):
    """Twenty products, sums and a maximum."""
    t = x
    for i, c in enumerate((1.01, -0.31, 0.97, 0.12, -0.88, 0.25, 0.93, -0.07, 0.71)):
        t = t * (x if c < 0 else y) + c
        t = xp.maximum(t, -2.0) if i == 3 else t
    return t * x


for label, chain in (("mix", chain_mix), ("poly", chain_poly)):
    for power in (3, 5, 7):
        n = 10**power
        xy = partial(lambda n, draw: {"x": draw(n), "y": draw(n)}, n)
        pointwise = partial(lambda chain, xp: partial(chain, xp), chain)
        averaged = partial(lambda chain, xp: lambda x, y: xp.mean(chain(xp, x, y)), chain)
        case(f"chain_{label}_1e{power}.fwd", "chain", xy, pointwise, bytes=12.0 * n)
        case(f"chain_{label}_1e{power}.grad", "chain", xy, averaged, wrt=("x", "y"), bytes=16.0 * n)

SIDE = 1024
SQUARE_BYTES = 4.0 * SIDE * SIDE


def square(draw: Draw) -> Arrays:
    return {"x": draw(SIDE, SIDE)}


def two_squares(draw: Draw) -> Arrays:
    return {"x": draw(SIDE, SIDE), "y": draw(SIDE, SIDE)}


def normalized(draw: Draw) -> Arrays:
    return {"x": draw(SIDE, WIDTH), "g": draw(WIDTH), "b": draw(WIDTH)}


case("softmax.fwd", "rows", square, lambda xp: xp.softmax, bytes=2 * SQUARE_BYTES)
case("softmax.grad", "rows", two_squares, lambda xp: lambda x, y: xp.sum(xp.softmax(x) * y), wrt=("x",), bytes=4 * SQUARE_BYTES)
case("layernorm.fwd", "rows", normalized, lambda xp: xp.layernorm, bytes=8.0 * SIDE * WIDTH)
case(
    "layernorm.grad",
    "rows",
    lambda draw: normalized(draw) | {"t": draw(SIDE, WIDTH)},
    lambda xp: lambda x, g, b, t: xp.sum(xp.layernorm(x, g, b) * t),
    wrt=("x", "g", "b"),
    bytes=16.0 * SIDE * WIDTH,
)
case("rowsum.fwd", "reduce", square, lambda xp: lambda x: xp.sum(x, 1), bytes=SQUARE_BYTES)
case("colsum.fwd", "reduce", square, lambda xp: lambda x: xp.sum(x, 0), bytes=SQUARE_BYTES)
case("sumall.fwd", "reduce", square, lambda xp: lambda x: xp.sum(x), bytes=SQUARE_BYTES)
case("transpose_add.fwd", "reduce", two_squares, lambda xp: lambda x, y: xp.transpose(x, (1, 0)) + y, bytes=3 * SQUARE_BYTES)
case("argmax.fwd", "reduce", square, lambda xp: xp.argmax, bytes=SQUARE_BYTES)
case("cumsum.fwd", "reduce", square, lambda xp: xp.cumsum, bytes=2 * SQUARE_BYTES)


# --- convolution -----------------------------------------------------------------------------------------------------


def convolution(label: str, x: tuple[int, ...], w: tuple[int, ...], groups: int = 1) -> None:
    result = (x[0], w[0], *x[2:])
    flops = 2.0 * math.prod(result) * math.prod(w[1:])
    scale = math.prod(w[1:]) ** -0.5

    def conv(xp):
        return (lambda x, w: xp.conv2d(x, w, groups)) if groups > 1 else xp.conv2d

    def inputs(draw: Draw) -> Arrays:
        return {"x": draw(*x), "w": draw(*w, scale=scale)}

    case(f"{label}.fwd", "conv", inputs, conv, weights=("w",), flops=flops)
    error = lambda xp: lambda x, w, t: squared_error(xp, conv(xp)(x, w), t)  # noqa: E731
    case(f"{label}.grad", "conv", lambda draw: inputs(draw) | {"t": draw(*result)}, error, wrt=("x", "w"), flops=3 * flops)


CHANNELS, IMAGE = 64, 56
convolution("conv", (1, CHANNELS, IMAGE, IMAGE), (CHANNELS, CHANNELS, 3, 3))
convolution("conv1x1", (1, 256, IMAGE, IMAGE), (CHANNELS, 256, 1, 1))
convolution("depthwise", (1, 128, IMAGE, IMAGE), (128, 1, 3, 3), groups=128)


def block_inputs(batch: int, with_target: bool, draw: Draw) -> Arrays:
    arrays = {"x": draw(batch, CHANNELS, IMAGE, IMAGE)}
    if with_target:
        arrays["t"] = draw(batch, CHANNELS, IMAGE, IMAGE)
    for i in "12":
        arrays |= {f"w{i}": draw(CHANNELS, CHANNELS, 3, 3, scale=1 / 24)}
        arrays |= {f"g{i}": draw(CHANNELS, scale=0.1) + np.float32(1), f"b{i}": draw(CHANNELS, scale=0.1)}
    return arrays


def block_forward(xp):
    """A residual block (He et al., arXiv:1512.03385), its normalizations folded into a scale and an offset of each channel."""

    def per_channel(v):
        return xp.reshape(v, (1, CHANNELS, 1, 1))

    def block(x, w1, g1, b1, w2, g2, b2):
        h = xp.relu(xp.conv2d(x, w1) * per_channel(g1) + per_channel(b1))
        return xp.relu(xp.conv2d(h, w2) * per_channel(g2) + per_channel(b2) + x)

    return block


def block_training(xp):
    """The same with the statistics of the batch."""

    def loss(x, t, w1, g1, b1, w2, g2, b2):
        h = xp.relu(xp.batchnorm(xp.conv2d(x, w1), g1, b1))
        return squared_error(xp, xp.relu(xp.batchnorm(xp.conv2d(h, w2), g2, b2) + x), t)

    return loss


block_flops = 4.0 * CHANNELS**2 * 9 * IMAGE**2
block_weights = tuple(f"{n}{i}" for i in "12" for n in "wgb")
for batch in (1, 8):
    case(f"block_b{batch}.fwd", "conv", partial(block_inputs, batch, False), block_forward, weights=block_weights, flops=batch * block_flops)
case("block_b8.grad", "conv", partial(block_inputs, 8, True), block_training, wrt=("x", *block_weights), flops=24 * block_flops)


# --- scalars ---------------------------------------------------------------------------------------------------------


def thousand(xp):
    def chain(x):
        y = x
        for i in range(250):
            y = xp.sin(y) * 0.9 + x * 0.3 if i % 2 else xp.tanh(y) * 1.1 - x * 0.2
        return y

    return chain


def valley(xs):
    """Rosenbrock's function of scalars."""
    total = 0.0
    for a, b in itertools.pairwise(xs):
        total = total + 100.0 * (b - a * a) * (b - a * a) + (1.0 - a) * (1.0 - a)
    return total


def valley_of_array(xp):
    def rosenbrock(x):
        a, b = xp.rows(x, 0, 9), xp.rows(x, 1, 10)
        d, e = b - a * a, 1.0 - a
        return xp.sum(100.0 * d * d + e * e)

    return rosenbrock


def scalar(draw: Draw) -> Arrays:
    return {"x": np.array(0.37, np.float32)}


case("scalar1k.fwd", "scalar", scalar, thousand)
case("scalar1k.grad", "scalar", scalar, thousand, wrt=("x",))
case("rosen10_vec.grad", "scalar", lambda draw: {"x": draw(10)}, valley_of_array, wrt=("x",))
ten_scalars = tuple(f"x{i}" for i in range(10))
case("rosen10_scalar.grad", "scalar", lambda draw: {n: draw() for n in ten_scalars}, lambda xp: lambda *xs: valley(xs), wrt=ten_scalars)
case("xx.grad", "scalar", scalar, lambda xp: lambda x: x * x, wrt=("x",))


# --- loops -----------------------------------------------------------------------------------------------------------

STEPS, ROWS, UNITS = 128, 32, 128


def recurrent_inputs(gates: int, with_target: bool, draw: Draw) -> Arrays:
    arrays = {"xs": draw(STEPS, ROWS, UNITS)}
    if with_target:
        arrays["ts"] = draw(STEPS, ROWS, UNITS)
    scale = UNITS**-0.5
    return arrays | {"Wx": draw(UNITS, gates * UNITS, scale=scale), "Wh": draw(UNITS, gates * UNITS, scale=scale), "b": draw(gates * UNITS, scale=0.1)}


def rnn(xp, xs, wx, wh, b):
    """All states of a recurrent network (Elman, 1990)."""

    def step(h, x):
        h = xp.tanh(xp.matmul(x, wx) + xp.matmul(h, wh) + b)
        return h, h

    return xp.scan(step, xp.zeros((ROWS, UNITS)), xs, STEPS)[1]


def lstm(xp, xs, wx, wh, b):
    """All outputs of a long short-term memory (Hochreiter and Schmidhuber, 1997), with a forget gate."""

    def step(state, x):
        h, c = state
        z = xp.matmul(x, wx) + xp.matmul(h, wh) + b
        i, f, g, o = (xp.cols(z, n * UNITS, (n + 1) * UNITS) for n in range(4))
        c = xp.sigmoid(f) * c + xp.sigmoid(i) * xp.tanh(g)
        h = xp.sigmoid(o) * xp.tanh(c)
        return (h, c), h

    zeros = xp.zeros((ROWS, UNITS))
    return xp.scan(step, (zeros, zeros), xs, STEPS)[1]


for label, gates, network in (("rnn", 1, rnn), ("lstm", 4, lstm)):
    flops = STEPS * 4.0 * ROWS * UNITS * gates * UNITS
    forward_pass = partial(lambda network, xp: partial(network, xp), network)
    case(f"{label}.fwd", "loops", partial(recurrent_inputs, gates, False), forward_pass, weights=("Wx", "Wh", "b"), flops=flops)
    training = partial(lambda network, xp: lambda xs, ts, wx, wh, b: squared_error(xp, network(xp, xs, wx, wh, b), ts), network)
    case(f"{label}.grad", "loops", partial(recurrent_inputs, gates, True), training, wrt=("Wx", "Wh", "b"), flops=2.5 * flops)


def euler(xp):
    """Ten thousand explicit steps of y' = sin(t) - a y^3."""

    def solve(y, a):
        return xp.fori(10_000, lambda i, y: y + 1e-3 * (xp.sin(xp.to_f32(i) * 1e-3) - a * y * y * y), y)

    return solve


def equation(draw: Draw) -> Arrays:
    return {"y": np.array(0.7, np.float32), "a": np.array(1.3, np.float32)}


case("ode10k.fwd", "loops", equation, euler)
case("ode10k.grad", "loops", equation, euler, wrt=("y", "a"))
