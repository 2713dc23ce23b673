"""Planes: complex arrays as arrays of their real and imaginary parts, so that kernels see real numbers only.

    func @f(%z: c64[3]) -> c64[3] {             func @f(%z: f32[3, 2]) -> f32[3, 2] {
      %y = conj %z : c64[3]                       %0 = reshape %z {shape = [6]} : f32[6]
      return %y                         =>        %z.re = slice %0 {start = [0], stop = [6], step = [2]} : f32[3]
    }                                             %z.im = slice %0 {start = [1], stop = [6], step = [2]} : f32[3]
                                                  %y.im = neg %z.im : f32[3]
                                                  %1 = interleave %z.re, %y.im : f32[6]
                                                  %y = reshape %1 {shape = [3, 2]} : f32[3, 2]
                                                  return %y
                                                }

Arguments and results lie in memory as NumPy and C have them, parts side by side: c64[3] and f32[3, 2] are the same bytes. So do values that
go into regions of ops and come out of them. In between, every op says by its rule `planes` what it is in terms of parts.
"""

from __future__ import annotations

from rlxc.errors import Error, MissingRule, RuleError
from rlxc.ir.builder import Builder
from rlxc.ir.core import Func, Op, Value
from rlxc.passes.dims import require_bound
from rlxc.passes.legalize import legalize
from rlxc.passes.manager import func_pass
from rlxc.passes.simplify import simplify
from rlxc.primitives.complex import every_second
from rlxc.primitives.planes import Planes


@func_pass("planes")
def planes(func: Func) -> Func:
    """Write complex arrays as arrays of their real and imaginary parts; see the picture at the top of the file."""
    if not has_complex(func):
        return func
    require_bound(func)
    return legalize.on_func(_in_parts(simplify.on_func(func)))  # type: ignore[attr-defined]


def has_complex(func: Func) -> bool:
    """Whether a complex value is in the function, or in a region of its ops."""
    if any(_is_complex(a) for a in func.args):
        return True
    return any(_is_complex(v) for op in func.walk() for v in op.results)


def _is_complex(v: Value) -> bool:
    return v.type.dtype.is_complex


def _in_parts(func: Func) -> Func:
    """Regions nest only as deep as loops do, so recursion is safe here."""
    b = Builder()
    args = tuple(a.like(type=_pairs_type(a)) if _is_complex(a) else a for a in func.args)
    env: dict[Value, Value | Planes] = {}
    for a, pairs in zip(func.args, args, strict=True):
        if a is not pairs:
            b.loc = a.loc
            env[a] = _named(split(b, pairs), a.name)
    for op in func.ops:
        b.loc = op.loc
        operands = [env.get(v, v) for v in op.operands]
        if any(has_complex(r) for r in op.regions):
            _rebuild_with_regions(b, op, operands, env)
        elif any(_is_complex(v) for v in (*op.operands, *op.results)):
            _apply_rule(b, op, operands, env)
        else:
            b.rebuild(op, env)  # type: ignore[arg-type]
    results = tuple(_whole(b, env.get(v, v)) for v in func.results)
    for old, new in zip(func.results, results, strict=True):
        if new.name is None and new not in args:
            new.name = old.name
    return func.with_(args=args, ops=tuple(b.ops), results=results)


def _apply_rule(b: Builder, op: Op, operands: list, env: dict) -> None:
    try:
        out = op.prim.planes(b, *operands, **op.attrs)
    except MissingRule as error:
        types = ", ".join(str(v.type) for v in op.operands)
        raise MissingRule(f"{error.message}: there is no native code for it on {types}", loc=op.loc, help=error.diagnostics[0].help) from None
    except Error as error:
        raise error.at(op.loc) from None
    outs = out if isinstance(out, tuple) and not isinstance(out, Planes) else (out,)
    for v, x in zip(op.results, outs, strict=True):
        want = (v.type.with_dtype(v.type.dtype.part),) * (2 if _is_complex(v) else 1)
        got = tuple(part.type for part in (x if isinstance(x, Planes) else (x,)))
        if got != want:
            raise RuleError(f"{op.prim.name}: its planes rule gave {', '.join(map(str, got))}, not {', '.join(map(str, want))}", loc=op.loc)
        env[v] = x
        if isinstance(x, Planes):
            _named(x, v.name)
        elif x.name is None:
            x.name = v.name


def _named(z: Planes, name: str | None) -> Planes:
    """Parts called after the whole, unless they have names."""
    for part, which in zip(z, ("re", "im"), strict=True):
        if part.name is None and name is not None:
            part.name = f"{name}.{which}"
    return z


def _rebuild_with_regions(b: Builder, op: Op, operands: list, env: dict) -> None:
    """An op whose regions compute with complex numbers: these pass its border as pairs."""
    whole = [_whole(b, x) for x in operands]
    new = b.emit(op.prim, whole, dict(op.attrs), regions=tuple(_in_parts(r) for r in op.regions), loc=op.loc)
    for v, x in zip(op.results, new.results, strict=True):
        env[v] = split(b, x) if _is_complex(v) else x


def _pairs_type(v: Value):
    return v.type.with_dtype(v.type.dtype.part).with_shape((*v.type.shape, 2))


def _whole(b: Builder, x: Value | Planes) -> Value:
    return join(b, x) if isinstance(x, Planes) else x


def split(b: Builder, pairs: Value) -> Planes:
    """The parts of complex numbers that lie side by side along the last axis, which has size 2."""
    *shape, two = pairs.type.shape
    rows = (*shape[:-1], shape[-1] * two) if shape else (two,)
    flat = _in_shape(b, pairs, rows)
    return Planes(*(_in_shape(b, every_second(b, flat, k), tuple(shape)) for k in (0, 1)))


def join(b: Builder, z: Planes) -> Value:
    """Parts side by side along a new last axis."""
    shape = z.re.type.shape
    rows = [_in_shape(b, part, shape or (1,)) for part in z]
    return _in_shape(b, b.interleave(*rows), (*shape, 2))


def _in_shape(b: Builder, x: Value, shape: tuple) -> Value:
    return x if x.type.shape == shape else b.reshape(x, shape=shape)
