"""Every diagnostic code: a title, what it means, an example that is wrong and one that is right.

00xx  the text is not .rlx           03xx  differentiation and rules      06xx  files and extras
01xx  names                          04xx  passes and pipelines           07xx  what rlxc cannot do
02xx  types, attributes, structure   05xx  arrays at call time            08xx  tracing of Python functions
                                                                          09xx  defects of rlxc
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One code. Examples are `.rlx`, unless `language` says Python or shell; a test holds that each wrong one gives its code."""

    title: str
    explanation: str
    wrong: str = ""
    right: str = ""
    language: str = "rlx"


def _func(body: str, head: str = "%x: f32[3]", gives: str = " -> f32[3]") -> str:
    """A function around a few lines, to keep the table short."""
    lines = "\n".join(f"  {line}" for line in body.split("\n"))
    return f"func @f({head}){gives} {{\n{lines}\n}}"


CODES: dict[str, Code] = {
    # ----------------------------------------------------------------------------------------------------------- 00xx: syntax
    "RLX0001": Code(
        "unexpected text",
        "What stands here does not fit the grammar of .rlx (grammars/rlx.lark is its reference). Reading goes on with the next statement.",
        _func("%y = add %x %x\nreturn %y"),
        _func("%y = add %x, %x\nreturn %y"),
    ),
    "RLX0002": Code(
        "version of the language",
        "The first line of a file says which version of the language it is written in: `rlx 0.1`. This rlxc does not know the "
        "version; a newer rlxc may. A file without such a line is of the current version.",
        "rlx 9.9",
        "rlx 0.1",
    ),
    "RLX0003": Code(
        "a character that cannot stand here",
        "Outside of strings and comments a file is made of printable ASCII characters.",
        _func("%y = sin %x é\nreturn %x"),
        _func("%y = sin %x  // é\nreturn %x"),
    ),
    "RLX0004": Code(
        "a string that is not right",
        'A string ends on the line on which it begins, and has the escapes of JSON: \\" \\\\ \\n \\t \\u0041.',
        _func('%y = contract %x, %x {spec = "i,i->i}\nreturn %y'),
        _func('%y = contract %x, %x {spec = "i,i->i"}\nreturn %y'),
    ),
    "RLX0005": Code(
        "a number out of range",
        "Integers have at most 64 bits, and numbers must fit 64-bit floats. The bits in `nan(0x...)` must be those of a nan of the constant's width.",
        _func("%y = reduce_sum %x {axes = [99999999999999999999]}\nreturn %x"),
        _func("%y = reduce_sum %x {axes = [0]}\nreturn %x"),
    ),
    "RLX0006": Code(
        "nested too deeply, or too long",
        "Regions and lists nest at most 64 deep, and a list in an attribute has at most 65536 elements; a constant (`constant dense<...>`) has no such bound.",
        _func(f"%y = reduce_sum %x {{axes = {'[' * 65}{']' * 65}}}\nreturn %x"),
        _func("%y = reduce_sum %x {axes = [0]}\nreturn %x"),
    ),
    "RLX0007": Code("not UTF-8", "A file is UTF-8 text. The message says which byte is not.", 'rlxc.frontend.parser.decode(b"\\xff")', language="python"),
    "RLX0008": Code(
        "something is not closed",
        "The file ends, or another function begins, before a brace, bracket or parenthesis is closed.",
        "func @f(%x: f32[3]) -> f32[3] {\n  return %x",
        _func("return %x"),
    ),
    "RLX0009": Code(
        "a constant that does not fit its type",
        "What stands in `dense<...>` is one element, which fills the whole type, or lists nested as the shape is, with elements of the dtype.",
        _func("%c = constant dense<[1.0, 2.0]> : f32[3]\nreturn %c"),
        _func("%c = constant dense<[1.0, 2.0, 3.0]> : f32[3]\nreturn %c"),
    ),
    # ------------------------------------------------------------------------------------------------------------ 01xx: names
    "RLX0101": Code("a name that does not exist", "Something is called by a name that it does not have."),
    "RLX0102": Code(
        "there is no such op",
        "`rlxc ops` lists the ops. A package that brings its own must be installed, and name them in its entry points.",
        _func("%y = sinn %x\nreturn %x"),
        _func("%y = sin %x\nreturn %y"),
    ),
    "RLX0103": Code(
        "there is no such function",
        "A function that is called must be in the same module; it may stand before or after its callers.",
        _func("%y = call @g(%x) : f32[3]\nreturn %y"),
        "func @g(%x: f32[3]) -> f32[3] {\n  return %x\n}\n\n" + _func("%y = call @g(%x) : f32[3]\nreturn %y"),
    ),
    "RLX0104": Code(
        "there is no such argument",
        "The function has no argument of that name.",
        'rlxc.parse("func @f(%x: f32[3]) -> f32[3] { return %x }").func("f").arg("y")',
        'rlxc.parse("func @f(%x: f32[3]) -> f32[3] { return %x }").func("f").arg("x")',
        "python",
    ),
    "RLX0105": Code(
        "there is no such value here",
        "A value is defined before it is used, in the same function. What is defined in a region is visible in that region only.",
        _func("%y = add %x, %u\nreturn %y"),
        _func("%u = sin %x\n%y = add %x, %u\nreturn %y"),
    ),
    "RLX0106": Code(
        "a value is defined twice",
        "Every value of a function has a name of its own; the IR is in SSA form.",
        _func("%y = sin %x\n%y = cos %y\nreturn %y"),
        _func("%y = sin %x\n%z = cos %y\nreturn %z"),
    ),
    "RLX0107": Code(
        "a function is defined twice",
        "Every function of a module has a name of its own.",
        _func("return %x") + "\n\n" + _func("return %x"),
        _func("return %x") + "\n\n" + _func("return %x").replace("@f", "@g"),
    ),
    "RLX0109": Code(
        "an op of the other level",
        "Tensor ops stand in a `func`, ops of the loop level (loops, loads, stores) in a `kernel`.",
        _func("for %i in 0..3 {\n}\nreturn %x"),
        _func("%y = sin %x\nreturn %y"),
    ),
    # ------------------------------------------------------------------------------------- 02xx: types, attributes, structure
    "RLX0201": Code(
        "shapes that do not fit",
        "The op does not take operands of these shapes together. Elementwise ops broadcast as NumPy does: shapes are aligned at "
        "the right, and sizes must be equal or 1.",
        _func("%y = add %x, %w\nreturn %x", "%x: f32[3], %w: f32[4]"),
        _func("%y = add %x, %w\nreturn %y", "%x: f32[3], %w: f32[1]"),
    ),
    "RLX0202": Code(
        "dtypes that do not fit",
        "The op does not take operands of this dtype. Nothing is converted silently; write `convert`.",
        _func("%y = sin %x\nreturn %x", "%x: i32[3]", " -> i32[3]"),
        _func("%f = convert %x {dtype = f32}\n%y = sin %f\nreturn %y", "%x: i32[3]"),
    ),
    "RLX0203": Code(
        "an attribute with a wrong value",
        "The attribute has another kind of value, or one of another range.",
        _func("%y = reduce_sum %x {axes = [7]}\nreturn %x"),
        _func("%y = reduce_sum %x {axes = [0]} : f32[]\nreturn %x"),
    ),
    "RLX0204": Code(
        "not a type",
        "A tensor type is a dtype and a shape, as in `f32[2, 3]`, a scalar `f32[]`. At the loop level there are also `mem f32[8]`, "
        "vectors `f32x16` and scalars `f32`.",
        "func @f(%x: float32[3]) {\n  return\n}",
        "func @f(%x: f32[3]) {\n  return\n}",
    ),
    "RLX0205": Code(
        "not a shape",
        "Dimensions are whole numbers or names, at most 32 of them, with less than 2**58 elements in all.",
        "func @f(%x: f32[-1]) {\n  return\n}",
        "func @f(%x: f32[B]) {\n  return\n}",
    ),
    "RLX0206": Code(
        "a dimension without a size",
        "A named dimension gets its size from the arrays at call time, or by `rlxc.bind`; here the size is needed before, or two "
        "arguments give it different sizes.",
        'rlxc.parse("func @f(%x: f32[B]) { return }").func("f").args[0].type.size',
        language="python",
    ),
    "RLX0207": Code(
        "there is no such attribute",
        "The op has no attribute of that name; `rlxc ops` shows those it has.",
        _func("%y = reduce_sum %x {axis = [0]}\nreturn %x"),
        _func("%y = reduce_sum %x {axes = [0]}\nreturn %x"),
    ),
    "RLX0208": Code(
        "an attribute is missing",
        "The op needs the attribute; it has no default.",
        _func("%y = reduce_sum %x\nreturn %x"),
        _func("%y = reduce_sum %x {axes = [0]}\nreturn %x"),
    ),
    "RLX0209": Code(
        "an attribute is given twice",
        "An attribute has one value.",
        _func("%y = reduce_sum %x {axes = [0], axes = [0]}\nreturn %x"),
        _func("%y = reduce_sum %x {axes = [0]}\nreturn %x"),
    ),
    "RLX0210": Code("not well formed", "A function made by hand breaks a rule of the IR, which the message states."),
    "RLX0211": Code(
        "a wrong number of operands",
        "The op, or the function that is called, takes another number of operands.",
        _func("%y = sin %x, %x\nreturn %x"),
        _func("%y = sin %x\nreturn %x"),
    ),
    "RLX0212": Code(
        "a type that is not the result's",
        "The type written after the colon is not the one that follows from the operands. It may be left out.",
        _func("%y = sin %x : f32[4]\nreturn %x"),
        _func("%y = sin %x : f32[3]\nreturn %x"),
    ),
    "RLX0213": Code(
        "a type is missing",
        "The type of this op's result does not follow from operands, and must be written.",
        _func("%y = constant dense<1.0>\nreturn %x"),
        _func("%y = constant dense<1.0> : f32[3]\nreturn %y"),
    ),
    "RLX0214": Code(
        "a wrong number of results",
        "Every result of an op is given a name, also those that are not used.",
        _func("%y, %z = sin %x\nreturn %x"),
        _func("%y = sin %x\nreturn %y"),
    ),
    "RLX0215": Code(
        "returned values do not fit the head",
        "What a function returns has the types that its head states after `->`.",
        _func("return %x", gives=" -> f32[4]"),
        _func("return %x"),
    ),
    "RLX0216": Code(
        "a body without its end",
        "The last statement of a func is `return`, that of a region `yield`; nothing stands after it.",
        _func("return %x\n%y = sin %x"),
        _func("%y = sin %x\nreturn %x"),
    ),
    "RLX0217": Code(
        "recursion",
        "A function may not call itself, nor another that calls it.",
        _func("%y = call @f(%x) : f32[3]\nreturn %y"),
        _func("%y = sin %x\nreturn %y"),
    ),
    "RLX0218": Code(
        "operands that do not fit the function",
        "A call's operands have the types of the callee's arguments; a named dimension of the callee takes one size.",
        "func @g(%x: f32[3]) -> f32[3] {\n  return %x\n}\n\n" + _func("%y = call @g(%x)\nreturn %x", "%x: f32[4]", " -> f32[4]"),
        "func @g(%x: f32[B]) -> f32[B] {\n  return %x\n}\n\n" + _func("%y = call @g(%x)\nreturn %y", "%x: f32[4]", " -> f32[4]"),
    ),
    "RLX0219": Code(
        "a linear value without its mark",
        "A value that depends on a linear argument is linear itself, which its type says by `lin`.",
        _func("%y = neg %x : f32[3]\nreturn %x", "%x: lin f32[3]", " -> lin f32[3]"),
        _func("%y = neg %x : lin f32[3]\nreturn %y", "%x: lin f32[3]", " -> lin f32[3]"),
    ),
    "RLX0220": Code(
        "regions that an op does not have",
        "Some ops hold regions, written `do (%a: f32[2]) { ... yield %b }`; this one does not, or lacks one.",
        _func("%y = sin %x do () {\n}\nreturn %x"),
        _func("%y = sin %x\nreturn %x"),
    ),
    "RLX0222": Code(
        "an op that is not in its legal form",
        "After `legalize` there are no composites, no implicit broadcasting and no arithmetic on narrow floats.",
        'rlxc.ir.verify.verify(rlxc.parse("func @f(%x: f32[3], %y: f32[1]) { %z = add %x, %y return }"), stage="legal")',
        language="python",
    ),
    "RLX0223": Code(
        "a func where only kernels may be",
        "Code is generated from kernels; the pass `lower` makes them of funcs.",
        'rlxc.ir.verify.verify(rlxc.parse("func @f(%x: f32[3]) { return }"), stage="loops")',
        language="python",
    ),
    "RLX0224": Code(
        "attributes in another form", "An op made by hand has attributes that its declaration would have completed or converted; make ops with a Builder."
    ),
    "RLX0225": Code(
        "a body that uses what is outside",
        "The regions of `scan`, `while`, `cond`, `switch` and `map` see their arguments only: what they need is passed as operands.",
        _func(
            "%y = map %x {consts = 0} do (%e: f32[]) {\n  %p = mul %e, %s : f32[]\n  yield %p\n} : f32[3]\nreturn %y",
            "%x: f32[3], %s: f32[]",
        ),
        _func(
            "%y = map %s, %x {consts = 1} do (%k: f32[], %e: f32[]) {\n  %p = mul %e, %k : f32[]\n  yield %p\n} : f32[3]\nreturn %y",
            "%x: f32[3], %s: f32[]",
        ),
    ),
    # --------------------------------------------------------------------------------------- 03xx: differentiation and rules
    "RLX0301": Code(
        "not linear", "A function with `lin` arguments is linear in them: no products of two linear values, no constants added, nothing else than linear ops."
    ),
    "RLX0302": Code("a rule is missing", "The primitive does not have the rule that was asked for; define it on its class."),
    "RLX0303": Code("a rule that does not keep its contract", "A rule of a primitive gave the wrong number or types of results, or failed."),
    "RLX0304": Code("there is no such derivative", "The derivative does not exist as it was asked for."),
    "RLX0305": Code("nothing to differentiate by", "Derivatives exist with respect to arguments of a float or complex dtype."),
    "RLX0306": Code("a gradient of something that is not a scalar", "A gradient is that of one real scalar; reduce the result to one."),
    "RLX0307": Code("a result that does not depend on an argument", "The gradient with respect to this argument is zero, and `on_unused` asks for an error."),
    "RLX0308": Code(
        "a loop without a bound, backwards",
        "Reverse mode keeps what each step needs, and so has to know how many there are at most: `bound = N`, or a `scan`. Forward mode needs neither.",
    ),
    "RLX0309": Code(
        "a derivative of which the function's own rule says nothing",
        "The rule of a custom_vjp leads cotangents back, and says nothing of tangents: reverse mode takes it, and a custom_jvp has a rule for both. A rule "
        "that calls its own function is followed for four orders; one that computes what it needs holds in all.",
    ),
    "RLX0320": Code(
        "a variable that was not recorded",
        "Derivatives lead back from what was computed, outside of `no_grad`, from a variable that requires a gradient.",
        "rlxc.eager.tensor(1.0).backward()",
        "rlxc.eager.tensor(1.0, requires_grad=True).backward()",
        language="python",
    ),
    "RLX0321": Code(
        "a second way back through nodes that are freed",
        "`backward` frees what nodes have kept as it passes them; with `retain_graph=True` it does not.",
        "x = rlxc.eager.tensor(1.0, requires_grad=True); y = x * x; y.backward(); y.backward()",
        "x = rlxc.eager.tensor(1.0, requires_grad=True); y = x * x; y.backward(retain_graph=True); y.backward()",
        language="python",
    ),
    "RLX0322": Code(
        "a leaf is needed",
        "A variable that was computed has the value that it has, and requires a gradient if something that it depends on does.",
        "x = rlxc.eager.tensor(1.0, requires_grad=True); (x * x).assign(2.0)",
        "x = rlxc.eager.tensor(1.0, requires_grad=True); x.assign(2.0)",
        language="python",
    ),
    "RLX0323": Code(
        "a tensor that becomes an array",
        "An array does not know what it was computed from, so that derivatives would silently stop there. NumPy's functions take tensors as they are.",
        "import numpy; numpy.asarray(rlxc.eager.tensor(1.0, requires_grad=True))",
        "rlxc.eager.tensor(1.0, requires_grad=True).numpy()",
        language="python",
    ),
    # --------------------------------------------------------------------------------------------- 04xx: passes and pipelines
    "RLX0401": Code("a pass cannot run", "A pass was given IR that it does not take."),
    "RLX0402": Code("there is no such pass", "`rlxc passes` lists the passes."),
    "RLX0403": Code("an option that a pass does not have", "The option does not exist, or has another kind of value."),
    "RLX0404": Code("a function that calls itself", "Calls are inlined, and a function that calls itself has no end."),
    "RLX0405": Code("a pipeline that cannot be read", "A pipeline is names of passes with their options: `legalize,linearize{wrt=w1},transpose`."),
    "RLX0406": Code("a CPU that is not there", "Code is generated for this processor, or for a level of instructions that it has; `rlxc info` lists them."),
    # ---------------------------------------------------------------------------------------------- 05xx: arrays at call time
    "RLX0407": Code("a program that grows too large", "Calls are inlined; functions that call others several times each, level by level, multiply."),
    "RLX0501": Code("an argument that does not fit", "The arrays of a call do not fit the function's arguments."),
    "RLX0502": Code("a wrong number of arguments", "The call gives too many arrays, or too few."),
    "RLX0503": Code("an argument by a wrong name", "The function has no argument of that name, or it is given twice."),
    "RLX0504": Code("an array of another dtype", "Arrays are converted only where nothing is lost; convert with `.astype` where you mean to."),
    "RLX0505": Code("an array of another shape", "The array does not have the shape of the argument; nothing is broadcast at the edge of a function."),
    "RLX0506": Code("a number that the dtype does not hold", "A Python number is taken for an argument whose dtype can hold it."),
    "RLX0507": Code("an array that results cannot be written to", "`out=` takes writable arrays of the results' types that share no memory."),
    "RLX0508": Code("a parameter is not set", "Every `param` of a function is set before it runs: `set_param`, or a file of weights."),
    "RLX0509": Code("not enough memory", "The arrays of a call, or what is computed in between, do not fit into memory."),
    # ---------------------------------------------------------------------------------------------------- 06xx: files, extras
    "RLX0601": Code(
        "a file that cannot be read or written", "The operating system does not let rlxc have the file.", 'rlxc.load("missing/file.rlx")', language="python"
    ),
    "RLX0602": Code("an optional package is missing", "This needs a package that rlxc does not install by itself; the message says which."),
    "RLX0603": Code("a resource that is not loaded", "A constant that is kept in a file is read when a program is compiled or run, not before."),
    "RLX0604": Code("a file of arrays of an unknown kind", "Arrays are read from and written to .npz, .npy and .safetensors files."),
    "RLX0605": Code("a damaged file of arrays", "The file is not what its name says, or ends too early."),
    "RLX0606": Code("a file without the array", "The file of arrays does not have the array that is asked for, or it has another type."),
    "RLX0607": Code(
        "not a library of rlxc", "`load_library` takes shared libraries that `rlxc build --emit=so` has made, by this version or one that agrees with it."
    ),
    # -------------------------------------------------------------------------------------------------------- 07xx: unsupported
    "RLX0701": Code("not supported", "The program is right, but rlxc cannot do this."),
    "RLX0702": Code("not supported here", "The program is right, but this part of rlxc does not take it; the message says what to do."),
    # ---------------------------------------------------------------------------------------------------------- 08xx: tracing
    "RLX0801": Code(
        "numbers of a traced array",
        "While a function is traced its arguments have shapes and dtypes, and no numbers: Python's if and while, float(), range() and np.asarray() "
        "cannot have them. rlxc.where and rlxc.cond choose, rlxc.fori_loop and rlxc.scan loop; what must be a number is a static argument.",
        'rlxc.trace(lambda x: x if x > 0 else -x, "f32[]")',
        'rlxc.trace(lambda x: rlxc.where(x > 0, x, -x), "f32[]")',
        language="python",
    ),
    "RLX0802": Code(
        "a traced array outside of its function",
        "What stands for an array while a function is traced means nothing afterwards, or in another thread. Return it as a result instead.",
        'kept = []\nrlxc.trace(lambda x: kept.append(x) or x, "f32[]")\nrlxc.trace(lambda x: x + kept[0], "f32[]")',
        'rlxc.trace(lambda x: (x, x + x), "f32[]")',
        language="python",
    ),
    "RLX0803": Code(
        "a function of NumPy's that is not there for traced arrays",
        "`dir(rlxc.numpy)` lists those that are. Others can be written with them, or computed outside of the traced function.",
        'rlxc.trace(lambda x: rlxc.numpy.packbits(x), "u8[8]")',
        language="python",
    ),
    "RLX0804": Code(
        "no array",
        "Arguments and results of traced functions are arrays, numbers, and trees of them; everything else is a static argument.",
        "rlxc.trace(lambda x: x, object())",
        language="python",
    ),
    "RLX0805": Code(
        "an index that a traced array does not take",
        "Shapes are known while tracing, so an index cannot be a computed mask, nor a slice have computed ends; and elements are not assigned: "
        "`x.at[i].set(y)` is x with other elements.",
        'rlxc.trace(lambda x: x[x > 0], "f32[3]")',
        'rlxc.trace(lambda x: rlxc.where(x > 0, x, 0), "f32[3]")',
        language="python",
    ),
    "RLX0806": Code("trees of different forms", "Tuples, lists, dicts and so on are to have the same keys and lengths in both places."),
    "RLX0807": Code(
        "an index out of bounds",
        "An index that is known while tracing is inside the axis, counted from the end where it is negative.",
        'rlxc.trace(lambda x: x[3], "f32[3]")',
        'rlxc.trace(lambda x: x[-1], "f32[3]")',
        language="python",
    ),
    "RLX0808": Code(
        "a body that does not fit its loop or branch",
        "What a loop carries keeps its form, shapes and dtypes from step to step, and the branches of a choice give results of one form and type.",
        'rlxc.trace(lambda x: rlxc.scan(lambda c, e: ((c, e), None), 0.0, x), "f32[3]")',
        'rlxc.trace(lambda x: rlxc.scan(lambda c, e: (c + e, c), 0.0, x), "f32[3]")',
        language="python",
    ),
    "RLX0809": Code(
        "a derivative rule that does not fit its function",
        "The rules of custom_jvp and custom_vjp take and give trees of the forms and types of the function's arguments and results.",
        'rlxc.trace(rlxc.custom_jvp(lambda x: x), "f32[]")',
        language="python",
    ),
    # --------------------------------------------------------------------------------------------------------- 09xx: internal
    "RLX0900": Code("a defect of rlxc", "Something went wrong that is not your fault. Please report it, with the file that reproduces it."),
}
