"""The names of `import rlxc`, and what they do."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import rlxc

TEXT = """
func @f(%x: f64[B, 3], param %w: f64[3]) -> f64[] {
  %y = mul %x, %w
  %s = sin %y
  %l = reduce_sum %s {axes = [0, 1]}
  return %l
}
func @g(%a: f64[C, 3], %b: f64[2, 3], %w: f64[3]) -> f64[] {
  %p = call @f(%a, %w) : f64[]
  %q = call @f(%b, %w) : f64[]
  %r = add %p, %q
  return %r
}
func @affine(%x: f64[3]) -> f64[3] {
  %one = constant dense<1.0> : f64[3]
  %y = add %x, %one
  return %y
}
func @square(%x: f64[3]) -> f64[3] {
  %y = mul %x, %x
  return %y
}
func @scale(%x: f64[3], %k: f64[3]) -> f64[3] {
  %y = mul %x, %k
  %z = add %y, %y
  return %z
}
"""
M = rlxc.parse(TEXT)
X = np.linspace(-1, 1, 6).reshape(2, 3)
W = np.array([0.5, 1.0, 2.0])


def test_every_public_name_is_there():
    for name in rlxc.__all__:
        if name != "testing":
            assert getattr(rlxc, name) is not None
    assert "compile" in dir(rlxc)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rlxc.nothing


def test_importing_rlxc_loads_neither_numpy_nor_llvm_nor_the_parser():
    code = "import sys, rlxc; print([m for m in ('numpy', 'llvmlite', 'lark', 'rlxc.api') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_compile_takes_a_func_a_module_text_or_a_path(tmp_path):
    text = "func @f(%x: f64[3]) -> f64[3] {\n  %y = sin %x\n  return %y\n}\n"
    (tmp_path / "f.rlx").write_text(text)
    for program in (text, rlxc.parse(text), rlxc.parse(text)["f"], tmp_path / "f.rlx", str(tmp_path / "f.rlx")):
        np.testing.assert_allclose(rlxc.compile(program)(W), np.sin(W), rtol=1e-14)


def test_one_of_several_functions_must_be_named():
    with pytest.raises(rlxc.UnknownName, match="which function is meant"):
        rlxc.compile(M)
    assert rlxc.compile(M, "square")(W)[2] == 4


def test_several_results_are_a_tuple():
    outs = rlxc.compile(rlxc.value_and_grad(M["f"]))(X, W)
    assert isinstance(outs, tuple)
    assert [o.shape for o in outs] == [(), (2, 3), (3,)]


def test_native_code_and_interpreter_agree():
    np.testing.assert_allclose(rlxc.compile(M["f"])(X, W), rlxc.interpret(M["f"], X, w=W), rtol=1e-14)


def test_gradients_come_in_the_order_of_wrt():
    value, dw, dx = rlxc.compile(rlxc.value_and_grad(M["f"], wrt=["w", "x"]))(X, W)
    np.testing.assert_allclose(value, np.sin(X * W).sum())
    np.testing.assert_allclose(dx, np.cos(X * W) * W, rtol=1e-12)
    np.testing.assert_allclose(dw, (np.cos(X * W) * X).sum(0), rtol=1e-12)


def test_grad_with_loss_takes_a_seed():
    g = rlxc.grad_with_loss(M["f"], wrt="w")
    assert [a.name for a in g.args] == ["x", "w", "d_output"]
    np.testing.assert_allclose(rlxc.compile(g)(X, W, 2.0)[1], 2 * (np.cos(X * W) * X).sum(0), rtol=1e-12)


def test_jvp_and_linearize_agree():
    dw = np.array([1.0, -2.0, 0.5])
    value, tangent = rlxc.compile(rlxc.jvp(M["f"], wrt=["w"]))(X, W, dw)
    halves = rlxc.linearize(M["f"], wrt=["w"])
    primal, *residuals = rlxc.compile(rlxc.bind(halves.primal, B=2))(X, W)
    np.testing.assert_allclose(primal, value)
    np.testing.assert_allclose(rlxc.compile(rlxc.bind(halves.linear, B=2))(*residuals, dw), tangent, rtol=1e-12)
    np.testing.assert_allclose(tangent, (np.cos(X * W) * X * dw).sum(), rtol=1e-12)


def test_linear_transpose_of_a_plain_function():
    t = rlxc.linear_transpose(M["scale"], wrt=["x"])
    np.testing.assert_allclose(rlxc.compile(t)(W, W), 2 * W * W)


def test_the_transpose_of_a_transpose_is_the_map():
    twice = rlxc.linear_transpose(rlxc.linear_transpose(M["scale"], wrt=["x"]))
    np.testing.assert_allclose(rlxc.compile(twice)(W, W * 3), rlxc.compile(M["scale"])(W * 3, W))


@pytest.mark.parametrize(("name", "why", "line"), [("affine", "affine", 16), ("square", "product of two linear values", 20)])
def test_linear_transpose_refuses_what_is_not_linear_with_a_span(name, why, line):
    with pytest.raises(rlxc.LinearityError, match=why) as caught:
        rlxc.linear_transpose(M[name])
    assert caught.value.loc.line == line
    assert caught.value.loc.column == 8


def test_linear_transpose_refuses_a_function_of_one_operand_that_is_not_linear():
    f = rlxc.parse("func @e(%x: f64[3]) -> f64[3] {\n  %y = sin %x\n  return %y\n}")["e"]
    with pytest.raises(rlxc.LinearityError, match="sin is not linear") as caught:
        rlxc.linear_transpose(f)
    assert caught.value.loc.line == 2


def test_bind_gives_named_dimensions_their_sizes():
    f = rlxc.bind(M["f"], B=2)
    assert str(f.args[0].type) == "f64[2, 3]"
    assert rlxc.parse(str(f)) == rlxc.parse(str(rlxc.parse(str(f))))
    with pytest.raises(rlxc.UnknownName, match="no dimension named C"):
        rlxc.bind(M["f"], C=2)
    with pytest.raises(rlxc.ShapeError, match="whole number"):
        rlxc.bind(M["f"], B=-1)


def test_bind_gives_each_call_the_sizes_of_its_own_operands():
    f = rlxc.bind(M["g"], C=5)
    a = np.ones((5, 3))
    np.testing.assert_allclose(rlxc.compile(f)(a, X, W), np.sin(a * W).sum() + np.sin(X * W).sum())
    assert rlxc.bind(rlxc.bind(M["g"], C=5)) == f


def test_named_dimensions_are_bound_from_the_arrays_and_cached():
    f = rlxc.compile(M["f"])
    for n in (2, 4, 2, 0, 1):
        x = np.ones((n, 3))
        np.testing.assert_allclose(f(x, W), np.sin(x * W).sum())
    assert len(f._made) == 4


def test_native_code_is_kept_for_the_sizes_used_last(monkeypatch):
    monkeypatch.setattr("rlxc.runtime.compiled.MAX_SIZES", 2)
    f = rlxc.compile(M["f"])
    for n in (1, 2, 1, 3):
        f(np.ones((n, 3)), W)
    assert list(f._made) == [(1,), (3,)]


def test_one_dimension_cannot_have_two_sizes():
    f = rlxc.compile("func @h(%x: f64[B], %y: f64[B]) -> f64[B] {\n  %z = add %x, %y\n  return %z\n}")
    with pytest.raises(rlxc.ArgumentError, match="dimension B is 3 in %x and 2 in %y"):
        f(np.ones(3), np.ones(2))
    np.testing.assert_array_equal(f(np.ones(3), np.ones(3)), [2, 2, 2])


def test_passes_run_from_text():
    assert len(rlxc.run_passes(M["square"], "legalize,cse,dce")["square"].ops) == 1
    with pytest.raises(rlxc.PassError, match="no pass 'cs'"):
        rlxc.run_passes(M, "cs")


def test_a_primitive_of_ones_own_goes_the_whole_way():
    @rlxc.register
    class Cube(rlxc.Elementwise):
        """x cubed."""

        name = "cube_of_test_api"
        samples = ("f64[3]",)

        def eval(self, x):
            return x * x * x

        def partials(self, b, out, x):
            return (b.mul(3.0, b.mul(x, x)),)

        def scalar(self, e, x):
            return e.mul(x, e.mul(x, x))

    f = rlxc.parse("func @f(%x: f64[3]) -> f64[] {\n  %y = cube_of_test_api %x\n  %s = reduce_sum %y {axes = [0]}\n  return %s\n}")["f"]
    value, dx = rlxc.compile(rlxc.value_and_grad(f))(W)
    np.testing.assert_allclose(value, (W**3).sum())
    np.testing.assert_allclose(dx, 3 * W**2)


def test_a_function_with_other_results_is_not_taken_for_the_one_it_came_from():
    func = rlxc.parse("func @f(%x: f32[]) -> f32[] { %y = sin %x %z = cos %y return %z }")["f"]
    sine = func.with_(results=(func.ops[0].result,))
    assert rlxc.run_passes(sine, "dce") == rlxc.parse("func @f(%x: f32[]) -> f32[] { %y = sin %x return %y }")


def test_what_to_do_with_unused_arguments_is_one_of_three_words():
    func = rlxc.parse("func @f(%x: f32[]) -> f32[] { return %x }")["f"]
    with pytest.raises(rlxc.Error, match="on_unused is one of 'zeros', 'none', 'error', not 'zero'"):
        rlxc.value_and_grad(func, on_unused="zero")


def test_a_type_among_the_attributes_is_sent_behind_the_colon():
    with pytest.raises(rlxc.Error) as caught:
        rlxc.parse("func @f() -> f32[3] { %x = iota {axis = 0, type = f32[3]} return %x }")
    assert "written after a colon" in str(caught.value)


def test_an_unknown_option_of_compilation_is_named():
    f = rlxc.parse("func @f(%x: f64[]) -> f64[] { %y = sin %x return %y }")["f"]
    with pytest.raises(rlxc.Error, match="no option 'vectorise'"):
        rlxc.compile(f, vectorise=False)


def test_an_integer_is_not_linear():
    f = rlxc.parse("func @f(%x: lin i32[3]) -> lin i32[3] { %y = neg %x return %y }")["f"]
    with pytest.raises(rlxc.Error, match="only floats can be linear"):
        rlxc.linear_transpose(f)


def test_what_is_no_program_is_an_error_of_rlxc():
    for call in (rlxc.parse, rlxc.compile, rlxc.value_and_grad):
        for thing in (None, 3, *([] if call is rlxc.value_and_grad else [lambda x: x])):
            with pytest.raises(rlxc.Error):
                call(thing)
    f = "func @f(%x: f64[]) -> f64[] {\n  return %x\n}"
    for wrt in (None, 1.5, [None], {"x"}, True):
        with pytest.raises(rlxc.Error, match="wrt is made of"):
            rlxc.value_and_grad(f, wrt=wrt)
    for pipeline in (3, ["cse"]):
        with pytest.raises(rlxc.Error, match="a pipeline is text"):
            rlxc.run_passes(f, pipeline)
    with pytest.raises(TypeError):
        rlxc.load(0)  # not what stands in the terminal
    with pytest.raises(rlxc.Error, match="dictionary"):
        rlxc.Session().compile(f).run(np.ones(3))


def test_copies_and_pickles_of_a_program_are_equal_to_it():
    module = rlxc.parse("func @f(%x: f64[3]) -> f64[3] {\n  %y = sin %x\n  return %y\n}")
    assert pickle.loads(pickle.dumps(module)) == module
    assert copy.deepcopy(module) == module
