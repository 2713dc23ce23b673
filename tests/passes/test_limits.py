"""Programs that are small as text and large in what they ask for end in an error, not in a machine without memory."""

import pytest

import rlxc
from rlxc.errors import OutOfMemory, PassError
from rlxc.passes.inline import inline_calls


def test_calls_that_multiply_are_refused():
    levels = ["func @f0(%x: f32[]) -> f32[] { %y = mul %x, %x return %y }"]
    levels += [f"func @f{i}(%x: f32[]) -> f32[] {{ %a = call @f{i - 1}(%x) %b = call @f{i - 1}(%a) return %b }}" for i in range(1, 40)]
    program = rlxc.parse("\n".join(levels))
    with pytest.raises(PassError, match="ops once its calls are inlined"):
        inline_calls(program["f39"])


@pytest.mark.parametrize("shape", ["[100000000000]", "[1000000, 1000000, 1000]"])
def test_results_that_do_not_fit_into_memory_are_an_error(shape):
    func = rlxc.parse(f"func @f() -> f32{shape} {{ %y = iota {{axis = 0}} : f32{shape} return %y }}")["f"]
    with pytest.raises(OutOfMemory):
        rlxc.compile(func)()
    with pytest.raises(OutOfMemory):
        rlxc.interpret(func)
