"""docs/numpy.md, made of the table of cases."""

import inspect
import sys

import numpy as np
from cases import CASES, REFUSED

import rlxc.numpy as rnp

INTRO = """# NumPy's functions on traced arrays

Under `rlxc.jit`, `rlxc.grad` and the other transforms, NumPy's own functions take traced arrays: `np.sin(x)`, `np.sum(x, axis=0)`, `x @ w`. `rlxc.numpy`
has the same functions under the same names; on ordinary arrays they are NumPy's. This page is made of the table that the tests try: each expression is compared
with NumPy in f64, f32, i32 and bool (numbers, shapes, dtypes by NumPy 2's promotion), as native code too, and its derivative with finite differences.

Ufuncs of `scipy.special` mean the same on traced arrays: erf, gammaln, digamma, expit, logit, ndtr, xlogy, entr and others, which `rlxc.special` has, too.

Complex arrays are taken where they have a meaning; `np.fft` has transforms of any length over any axes, `np.linalg` what
[linear algebra](linear-algebra.md) tells.

`tests/numpy/cases.py` says what the variables are. *d*: the derivative is tried.

## What is different

* Nothing is written in place: no `out=`, no `x[i] = y`. `x.at[i].set(y)`, `.add`, `.multiply`, `.min`, `.max` give new arrays.
* Shapes are known while tracing. What depends on the numbers of traced arrays is an error that says so: `np.nonzero`, `np.unique`, `x[mask]` for traced masks.
* Indices that are computed are not checked: out of bounds they are moved to the nearest element.
* `np.array([x, y])` of traced arrays cannot work, since NumPy asks for their numbers: `np.stack([x, y])`, or `rlxc.numpy.array`.
* Integers divided by zero give 0; functions of bools give f16 as in NumPy, powers and rounding of bools do not.
"""


def table_page(smooth):
    """The page; `smooth` is the set of expressions whose derivatives are tried."""
    lines = [INTRO]
    for module, names in _by_module().items():
        lines += [f"## {(inspect.getdoc(module) or '').splitlines()[0].rstrip('.')}", "", "| function | tried as | |", "|---|---|---|"]
        for name in names:
            texts = [text.rstrip("# ").strip() for text in CASES[name]]
            shown = ", ".join(f"`{text}`" for text in texts).replace("|", "\\|")
            lines.append(f"| {name} | {shown} | {'d' if any(text in smooth for text in texts) else ''} |")
        lines.append("")
    lines += ["## What is refused", "", "| | because |", "|---|---|"]
    lines += [f"| `{text}` | {reason} |" for text, reason in sorted(REFUSED.items())]
    return "\n".join(lines) + "\n"


def _by_module():
    """The functions of the table under the module that has them."""
    found = {}
    for name in CASES:
        rule = rnp._PUBLIC.get(getattr(np, name, None).__name__ if hasattr(np, name) else "")
        module = sys.modules[rule.__wrapped__.__module__] if rule is not None else sys.modules["rlxc.tracing.tracer"]
        found.setdefault(module, []).append(name)
    return dict(sorted(found.items(), key=lambda item: item[0].__name__))
