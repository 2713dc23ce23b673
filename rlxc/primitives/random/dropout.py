"""Dropout."""

from __future__ import annotations

import numpy as np

from rlxc.errors import AttrError
from rlxc.ir.primitive import Sample, register
from rlxc.ir.types import FLOATS
from rlxc.primitives.exact import round_to
from rlxc.primitives.families import Composite, require_dtype
from rlxc.primitives.random.bits import A_KEY, require_key
from rlxc.primitives.random.distributions import F32, RandomUniform


@register
class Dropout(Composite):
    """x with elements set to zero with probability `rate`, the others divided by 1 - rate. (Srivastava et al., JMLR 15, 2014.)"""

    name = "dropout"
    dtypes = FLOATS
    samples = (
        Sample("f64[4, 3]", A_KEY, rate=0.5),
        Sample("f32[]", A_KEY, rate=0.1),
        Sample("f64[2, 0]", A_KEY, rate=0.5),
        Sample("f64[3]", A_KEY, rate=0.0),
        Sample("f64[3]", A_KEY, rate=1.0),
    )

    def infer(self, x, key, *, rate: float):
        require_dtype(self.name, x, FLOATS)
        require_key(self.name, key)
        if not 0 <= rate <= 1:
            raise AttrError(f"dropout: rate is {rate}", help="a probability is 0 to 1")
        return x

    def eval(self, x, key, *, rate):
        kept = RandomUniform().eval(key, shape=x.shape, dtype=F32) >= np.float32(rate)
        return round_to(np.where(kept, x.astype(np.float64) / max(1 - rate, 1e-300), 0), x.dtype)

    def decompose(self, b, x, key, *, rate):
        if rate == 0:
            return x
        if rate == 1:
            return b.zeros(x.type)
        kept = b.ge(b.random_uniform(key, shape=x.type.shape, dtype=F32), rate)
        return b.select(kept, b.div(x, 1 - rate), b.zeros(x.type))
