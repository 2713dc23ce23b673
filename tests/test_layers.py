"""Imports point down, heavy packages stay where they belong, and passes ask for rules and traits, never for names."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "rlxc"

#: What each layer may import besides itself. `errors` is below everything.
MAY_IMPORT = {
    "errors": set(),
    "codes": set(),
    "diagnostics": {"errors", "codes"},
    "ir": {"errors"},
    "primitives": {"errors", "ir"},
    "passes": {"errors", "ir", "primitives"},
    "frontend": {"errors", "ir", "primitives", "passes"},
    "codegen": {"errors", "ir"},
    "runtime": {"errors", "ir", "primitives", "passes", "codegen"},
    "tracing": {"errors", "diagnostics", "ir", "primitives", "passes", "runtime"},
    "numpy": {"errors", "ir", "primitives", "tracing"},
    "random": {"errors", "ir", "numpy", "tracing"},
    "special": {"numpy", "tracing"},
    "nn": {"numpy", "random", "tracing"},
    "optim": {"tracing"},
    "eager": {"errors", "ir", "passes", "runtime", "api", "tracing"},
    "testing": {"errors", "ir", "primitives", "passes", "frontend", "codegen", "runtime", "eager"},
    "api": {"errors", "ir", "primitives", "passes", "frontend", "codegen", "runtime", "tracing"},
    "libraries": {"errors", "ir", "runtime", "api"},
}
TOP = {"cli", "commands", "__init__", "__main__"}
HEAVY = {"lark": {"frontend"}, "llvmlite": {"codegen", "runtime", "commands"}}
ALLOWED_PACKAGES = {"numpy", "lark", "llvmlite", "ml_dtypes", "scipy", "rlxc"}
FILES = sorted(ROOT.rglob("*.py"))


def layer(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST, *, typing_only: bool = False):
    """Names of imported modules; `from rlxc import x` counts as rlxc.x. Imports for type checkers alone are left out."""
    skipped = {id(n) for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) for n in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 1:  # a file of the same folder
                continue
            assert node.level == 0, "imports are absolute, or of the same folder"
            if node.module == "rlxc":
                yield from (f"rlxc.{a.name}" for a in node.names)
            else:
                yield node.module or ""


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    own = layer(path)
    for name in imports(ast.parse(path.read_text())):
        top, _, rest = name.partition(".")
        if top == "rlxc":
            target = rest.split(".")[0]
            if target in ("__version__", "") or target == own or own in TOP:
                continue
            assert own in MAY_IMPORT, f"{own} is no layer: say in MAY_IMPORT what it may import"
            assert target in MAY_IMPORT[own], f"{own} imports rlxc.{target}, which is not below it"
        if top in HEAVY:
            assert own in HEAVY[top], f"{top} is imported in {own}"


def test_only_declared_packages_are_imported():
    for path in FILES:
        for name in imports(ast.parse(path.read_text())):
            top = name.partition(".")[0]
            assert top in ALLOWED_PACKAGES or top in sys.stdlib_module_names, f"{path.name} imports {name}"


def is_primitive_name(node: ast.expr) -> bool:
    """`x.prim.name`, or `prim.name`."""
    if not (isinstance(node, ast.Attribute) and node.attr == "name"):
        return False
    owner = node.value
    return (isinstance(owner, ast.Attribute) and owner.attr == "prim") or (isinstance(owner, ast.Name) and owner.id in ("prim", "primitive"))


@pytest.mark.parametrize("path", [p for p in FILES if layer(p) in ("passes", "codegen", "runtime")], ids=lambda p: str(p.relative_to(ROOT)))
def test_no_pass_branches_on_the_name_of_an_op(path):
    for node in ast.walk(ast.parse(path.read_text())):
        compared = []
        if isinstance(node, ast.Compare):
            compared = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            compared = [node.subject]
        for expression in compared:
            assert not is_primitive_name(expression), f"{path.name}:{node.lineno} compares the name of a primitive"


def test_no_import_hides_in_a_function_outside_of_the_command_line():
    """But for optional packages, and for what would make a cycle of printing: `str(func)`."""
    allowed = {
        "ml_dtypes",
        "scipy",
        "scipy.linalg",
        "importlib.metadata",
        "rlxc.ir.printer",
        "llvmlite.binding",
        "rlxc.runtime.compile",
        "rlxc.runtime.quick",
        "rlxc.api",
    }
    for path in FILES:
        if layer(path) in ("cli", "commands", "__init__", "testing"):
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Import | ast.ImportFrom):
                        name = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                        top = name.partition(".")[0]
                        assert name in allowed or top in sys.stdlib_module_names, f"{path.name}:{node.lineno} imports {name} inside {function.name}"


def test_there_is_no_hand_written_backward_op():
    import rlxc.primitives  # noqa: F401
    from rlxc.ir.primitive import REGISTRY

    for prim in REGISTRY.all():
        if type(prim).__module__.startswith("rlxc.primitives.custom."):
            continue  # what users give rules of their own
        parts = set(prim.name.split("_"))
        assert not parts & {"grad", "backward", "bwd", "vjp", "jvp"}, f"{prim.name} looks like a hand-written derivative"


def test_a_wheel_carries_every_package():
    declared = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {".".join(p.parent.relative_to(ROOT.parent).parts) for p in ROOT.rglob("*.py")}
    assert found <= set(declared), f"pyproject.toml does not list {found - set(declared)}"
