"""Neural networks as functions: activations, losses, layers, recurrent cells, initializers. Parameters are arrays that you keep as you like.

    def mlp(params, x):
        for w, b in params[:-1]:
            x = nn.gelu(nn.linear(x, w, b))
        return nn.linear(x, *params[-1])

They take arrays and traced arrays alike; most are one op each, whose reference is docs/ops.md.
"""

from __future__ import annotations

from rlxc.nn import activations, initializers, layers, losses, recurrent
from rlxc.nn.activations import *  # noqa: F403
from rlxc.nn.layers import *  # noqa: F403
from rlxc.nn.losses import *  # noqa: F403
from rlxc.nn.recurrent import *  # noqa: F403

__all__ = ["initializers", *activations.__all__, *layers.__all__, *losses.__all__, *recurrent.__all__]
