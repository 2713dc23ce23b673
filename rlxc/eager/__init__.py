"""Eager reverse mode: operations are computed at once, and recorded, so that `backward` can follow them back.

x = eager.tensor(3.0, requires_grad=True)
y = x * x
y.backward()
x.grad                                          # 6
"""

from rlxc.eager.executor import Executor
from rlxc.eager.function import apply
from rlxc.eager.modes import enable_grad, is_grad_enabled, no_grad
from rlxc.eager.tensor import Tensor, function, tensor
from rlxc.eager.variable import Variable, backward, grad

__all__ = ["Executor", "Tensor", "Variable", "apply", "backward", "enable_grad", "function", "grad", "is_grad_enabled", "no_grad", "tensor"]
