"""Text that is not `.rlx`: each case has its code and its place, and nothing ends in a traceback."""

import time

import pytest
from corpus import CORPUS
from mutations import mutate

from rlxc.diagnostics import render, to_json
from rlxc.errors import Error
from rlxc.frontend.format import format_text
from rlxc.frontend.parser import decode, load, parse


def func(body):
    return f"func @f(%x: f32[3]) -> f32[3] {{\n{body}\n}}"


def kernel(body):
    return f"kernel @k(%x: mem f32[8], %y: mem f32[8]) {{\n{body}\n}}"


CASES = [
    ("func", "RLX0008", 1, 5),
    ("func @", "RLX0001", 1, 6),
    ("func @f", "RLX0008", 1, 8),
    ("func @f(", "RLX0008", 1, 9),
    ("func @f() {", "RLX0008", 1, 12),
    ("@f() {}", "RLX0001", 1, 1),
    ("rlx", "RLX0002", 1, 1),
    ("rlx 7.0\nfunc @f() {}", "RLX0002", 1, 5),
    ("func @f() {}\nrlx 0.1", "RLX0002", 2, 1),
    ("func f() {}", "RLX0001", 1, 6),
    ("func @f(%x) {}", "RLX0001", 1, 11),
    ("func @f(%x: ) {}", "RLX0001", 1, 13),
    ("func @f(%x: f32) {}", "RLX0204", 1, 13),
    ("func @f(%x: f32[3) {}", "RLX0001", 1, 16),
    ("func @f(%x: f32[3]]) {}", "RLX0001", 1, 19),
    ("func @f(%x: g32[3]) {}", "RLX0204", 1, 13),
    ("func @f(%x: f32[-3]) {}", "RLX0205", 1, 13),
    ("func @f(%x: f32[1.5]) {}", "RLX0205", 1, 13),
    ("func @f(%x: f32[f32]) {}", "RLX0205", 1, 13),
    ("func @f(%x: f32[999999999999999999999]) {}", "RLX0205", 1, 13),
    ("func @f(%x: f32[99999999999, 99999999999]) {}", "RLX0205", 1, 13),
    ("func @f(%x: f32[" + "1, " * 40 + "1]) {}", "RLX0205", 1, 13),
    ("func @f(%x: f32[3], %x: f32[3]) {}", "RLX0106", 1, 21),
    ("func @f(x: f32[3]) {}", "RLX0001", 1, 9),
    ("func @f(%x: f32[3],) {}", "RLX0001", 1, 20),
    ("func @f() {}\nfunc @f() {}", "RLX0107", 2, 6),
    ("func @f() -> {\n}", "RLX0001", 1, 14),
    ("func @f() -> f32[] {\n}", "RLX0216", 2, 1),
    ("func @f() {\n  return\n  return\n}", "RLX0216", 3, 3),
    ("func @f() {}\n}", "RLX0001", 2, 1),
    ("\0", "RLX0003", 1, 1),
    ("func @f() {\n  é\n}", "RLX0003", 2, 3),
    ("{}", "RLX0001", 1, 1),
    (func("  %y = \n  return %x"), "RLX0001", 3, 3),
    (func("  %y sin %x\n  return %x"), "RLX0001", 2, 3),
    (func("  %y = sin %x,\n  return %x"), "RLX0001", 3, 3),
    (func("  %y = sin %x) \n  return %x"), "RLX0001", 2, 14),
    (func("  %y = sin (%x\n  return %x"), "RLX0001", 3, 3),
    (func("  %y = sinh2 %x\n  return %x"), "RLX0102", 2, 8),
    (func("  %y = sin %z\n  return %x"), "RLX0105", 2, 12),
    (func("  %z = sin %y\n  %y = sin %x\n  return %x"), "RLX0105", 2, 12),
    (func("  %x = sin %x\n  return %x"), "RLX0106", 2, 3),
    (func("  %y = sin %x : f64[3]\n  return %x"), "RLX0212", 2, 17),
    (func("  %y = sin %x : \n  return %x"), "RLX0001", 3, 3),
    (func("  %y = sin %x, %x\n  return %x"), "RLX0211", 2, 8),
    (func("  sin %x\n  return %x"), "RLX0214", 2, 3),
    (func("  %y, %z = sin %x\n  return %x"), "RLX0214", 2, 3),
    (func("  return %y"), "RLX0105", 2, 10),
    (func("  return"), "RLX0215", 3, 1),
    (func("  %y = sin %x"), "RLX0216", 3, 1),
    (func("  yield %x"), "RLX0216", 2, 3),
    (func("  return %x, %x"), "RLX0215", 2, 10),
    (func("  return %x\n  %y = sin %x"), "RLX0216", 3, 3),
    ("func @f(%x: f32[3]) -> f64[3] {\n  return %x\n}", "RLX0215", 2, 10),
    ("func @f(%x: f32[3]) -> lin f32[3] {\n  return %x\n}", "RLX0215", 2, 10),
    (func("  %y = reduce_sum %x {axes = }\n  return %x"), "RLX0001", 2, 30),
    (func("  %y = reduce_sum %x {axes [0]}\n  return %x"), "RLX0001", 2, 28),
    (func("  %y = reduce_sum %x {axes = [0}\n  return %x"), "RLX0001", 2, 32),
    (func("  %y = reduce_sum %x {axes = [0]\n  return %x"), "RLX0001", 3, 3),
    (func("  %y = reduce_sum %x {axis = [0]}\n  return %x"), "RLX0207", 2, 23),
    (func("  %y = reduce_sum %x {axes = [0.5]}\n  return %x"), "RLX0203", 2, 30),
    (func("  %y = reduce_sum %x {axes = [3]}\n  return %x"), "RLX0203", 2, 8),
    (func("  %y = reduce_sum %x {axes = [18446744073709551616]}\n  return %x"), "RLX0005", 2, 30),
    (func("  %y = reduce_sum %x {axes = [0], axes = [0]}\n  return %x"), "RLX0209", 2, 35),
    (func("  %y = reduce_sum %x\n  return %x"), "RLX0208", 2, 8),
    (func("  %y = convert %x {dtype = g32}\n  return %x"), "RLX0203", 2, 28),
    (func('  %y = gelu %x {approximate = "tan"}\n  return %x'), "RLX0203", 2, 31),
    (func('  %y = gelu %x {approximate = "tanh}\n  return %x'), "RLX0004", 2, 31),
    (func('  %y = gelu %x {approximate = "\\q"}\n  return %x'), "RLX0004", 2, 31),
    (func("  %c = constant dense<[1, 2]> : f32[3]\n  return %x"), "RLX0009", 2, 17),
    (func("  %c = constant dense<[1, 2, x]> : f32[3]\n  return %x"), "RLX0009", 2, 17),
    (func("  %c = constant dense<[1, 2, 3] : f32[3]\n  return %x"), "RLX0009", 2, 22),
    (func("  %c = constant dense<[[1, 2, 3]]> : f32[3]\n  return %x"), "RLX0009", 2, 17),
    (func("  %c = constant dense<1.5> : i32[3]\n  return %x"), "RLX0009", 2, 17),
    (func("  %c = constant dense<-1> : u8[3]\n  return %x"), "RLX0009", 2, 17),
    (func("  %c = constant dense<1e39> : f32[3]\n  return %x"), "RLX0009", 2, 17),
    (func("  %c = constant dense<nan(0x7f800000)> : f32[3]\n  return %x"), "RLX0005", 2, 17),
    (func("  %c = constant dense<1> \n  return %x"), "RLX0213", 2, 17),
    (func("  %c = constant dense<(1, 2)> : f32[3]\n  return %x"), "RLX0009", 2, 17),
    (func("  %c = constant dense<1> : c64[3]\n  return %x"), "RLX0009", 2, 17),
    (func("  %c = constant 3 : f32[3]\n  return %x"), "RLX0203", 2, 8),
    (func("  %c = constant resource 3 : f32[3]\n  return %x"), "RLX0213", 2, 8),
    (func("  %y = call @g(%x)\n  return %x"), "RLX0103", 2, 13),
    (func("  %y = call @f(%x)\n  return %x"), "RLX0217", 2, 8),
    (func("  %y = call(%x)\n  return %x"), "RLX0213", 2, 8),
    ("func @f(%x: f32[3], %w: f32[4]) -> f32[3] {\n  %y = add %x, %w\n  return %x\n}", "RLX0201", 2, 8),
    ("func @f(%x: f32[3], %w: i32[3]) -> f32[3] {\n  %y = add %x, %w\n  return %x\n}", "RLX0202", 2, 8),
    ("func @f(%x: lin f32[3]) -> lin f32[3] {\n  %y = neg %x : f32[3]\n  return %x\n}", "RLX0219", 2, 17),
    (func("  %y = sin %x do () {\n  }\n  return %x"), "RLX0220", 2, 8),
    (func("  %y = load %x\n  return %x"), "RLX0109", 2, 8),
    (func("  for %i in 0..3 {\n  }\n  return %x"), "RLX0109", 2, 3),
    (kernel("  for %i in 0..8 {"), "RLX0008", 3, 2),
    (kernel("  for %i in 0. .8 {\n  }"), "RLX0001", 2, 13),
    (kernel("  for i in 0..8 {\n  }"), "RLX0001", 2, 7),
    (kernel("  for %i in 0..8 step 0 {\n  }"), "RLX0203", 2, 23),
    (kernel("  for %i in 0..8 {fast} {\n  }"), "RLX0207", 2, 19),
    (kernel("  %s = for %i in 0..8 carry (%a = %z) {\n    yield %a\n  }"), "RLX0105", 2, 35),
    (kernel("  for %i in 0..8 {\n    return\n  }"), "RLX0216", 3, 5),
    (kernel("  for %i in 0..8 {\n    %v = load %x, %i\n  }\n  store %y, %v, %v"), "RLX0105", 5, 13),
    (kernel("  %v = load %x, %x : f32"), "RLX0202", 2, 8),
    (kernel("  %v = sin %x"), "RLX0202", 2, 8),
    (kernel("  %v = reduce_sum %x {axes = [0]}"), "RLX0109", 2, 8),
    (kernel("  %v = loda %x"), "RLX0102", 2, 8),
]


@pytest.mark.parametrize(("text", "code", "line", "column"), CASES)
def test_malformed_text_is_reported_where_it_is_wrong(text, code, line, column):
    with pytest.raises(Error) as caught:
        parse(text, "t.rlx")
    first = caught.value.diagnostics[0]
    assert (first.code, first.loc.file, first.loc.line, first.loc.column) == (code, "t.rlx", line, column), str(caught.value)


@pytest.mark.parametrize("text", [text for text, *_ in CASES])
def test_one_mistake_is_rarely_more_than_one_diagnostic(text):
    with pytest.raises(Error) as caught:
        parse(text)
    assert len(caught.value.diagnostics) <= 2


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [(b"\xff", 1, 1), (b"func @f() {}\n// \xc3\xa9 \xc3(", 2, 6), (b"\xff\xfef\x00", 1, 1)],
)
def test_bytes_that_are_not_utf8_have_a_place(data, line, column):
    with pytest.raises(Error) as caught:
        decode(data)
    assert (caught.value.code, caught.value.loc.line, caught.value.loc.column) == ("RLX0007", line, column)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(Error) as caught:
        load(tmp_path / "missing.rlx")
    assert caught.value.code == "RLX0601"


def test_line_ends_of_windows_a_byte_order_mark_and_tabs_are_white_space(tmp_path):
    path = tmp_path / "f.rlx"
    path.write_bytes(b"\xef\xbb\xbfrlx 0.1\r\nfunc\t@f() {\r\n\treturn // end\r\n}\r\n")
    assert load(path) == parse("func @f() { return }")


def test_errors_stop_at_twenty():
    with pytest.raises(Error) as caught:
        parse(func("\n".join(f"  %y{i} = sinn %x" for i in range(100))))
    assert len(caught.value.diagnostics) == 20


def test_reading_goes_on_after_an_error():
    text = """func @f(%x: f32[3]) -> f32[3] {
  %a = sin %x %b
  %c = cos %a
  %d = foo %c
  %e = cos ]
  %g = cos %e, %d
  %h = cos %u
  return %c
}

func @g(%x f32[3]) -> f32[3] {
  return %x
}

func @h(%x: f32[3]) -> f32[3] {
  %a = call @g(%x) : f32[3]
  %b = add %a,
  return %x

func @i(%x: f32[3]) -> f32[3] {
  %a = call @h(%x)
  %b = call @k(%x)
  return %a
}
"""
    with pytest.raises(Error) as caught:
        parse(text)
    assert [(d.code, d.loc.line, d.loc.column) for d in caught.value.diagnostics] == [
        ("RLX0001", 2, 15),
        ("RLX0102", 4, 8),
        ("RLX0001", 5, 12),
        ("RLX0105", 7, 12),
        ("RLX0001", 11, 12),
        ("RLX0001", 18, 3),
        ("RLX0008", 20, 1),
        ("RLX0103", 22, 13),
    ]


BOMBS = {
    "brackets": "func @f(%x: f32[3]) { %a = reduce_sum %x {axes = " + "[" * 100_000,
    "closed brackets": "func @f(%x: f32[3]) { %a = reduce_sum %x {axes = " + "[" * 50_000 + "]" * 50_000 + "}}",
    "braces": "func @f() " + "{" * 100_000,
    "loops": "kernel @f() {" + "for %i in 0..1 {" * 10_000 + "}" * 10_001,
    "regions": "func @f() {" + "foo do () {" * 10_000,
    "a long number": "func @f() { %a = constant dense<" + "9" * 1_000_000 + "> : f32[] return }",
    "a long dimension": "func @f(%x: f32[" + "9" * 1_000_000 + "]) {}",
    "lanes": "kernel @f(%x: f32x99999999) {}",
    "a long name": "func @f() { %" + "a" * 1_000_000 + " = sinn return }",
    "results": "func @f() { " + "%a, " * 30_000 + "%b = sin return }",
    "operands": "func @f(%x: f32[1]) { %y = concat " + "%x, " * 30_000 + "%u {axis = 0} return }",
    "an open string": 'func @f() { %a = sin "' + "a" * 1_000_000,
    "an open constant": "func @f() { %a = constant dense<" + "1, " * 100_000,
    "unknown ops": "func @f() {" + "a " * 50_000,
    "nothing": "\0" * 1_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_no_text_takes_long(name):
    start = time.process_time()
    with pytest.raises(Error) as caught:
        parse(BOMBS[name])
    assert time.process_time() - start < 5
    assert all(len(str(d)) < 2000 for d in caught.value.diagnostics)


def test_a_splat_takes_no_room():
    module = parse("func @f() -> f32[100000000000] { %c = constant dense<1.0> : f32[100000000000] return %c }")
    assert "dense<1.0>" in str(module)


def test_mutated_files_are_read_or_rejected_with_a_place(request):
    for seed in range(request.config.getoption("--mutants")):
        name = list(CORPUS)[seed % len(CORPUS)]
        text = mutate(CORPUS[name], seed)
        error = check(text, name)
        if error is not None:
            assert all(d.loc.line > 0 and d.loc.column > 0 and d.loc.file == name for d in error.diagnostics), f"seed {seed}: {error}"
            assert render(error, {name: text})
            assert to_json(error)


def check(text, name):
    """Parse and format `text`; the error, if it has one."""
    try:
        module = parse(text, name)
    except Error as error:
        return error
    formatted = format_text(text)
    assert parse(str(module)) == module
    assert parse(formatted) == module
    assert format_text(formatted) == formatted
    return None
