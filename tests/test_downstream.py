"""A package from outside registers primitives by an entry point, and needs nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "downstream"

PROGRAM = """
import sys
sys.path.insert(0, {here!r})
import rlxc
{body}
"""


def run(body):
    result = subprocess.run([sys.executable, "-c", PROGRAM.format(here=str(HERE), body=body)], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_text_finds_the_op_by_its_entry_point():
    out = run("""
m = rlxc.parse("func @f(%x: f64[3], %k: f64[]) -> f64[3] { %e = spring_energy %x, %k  return %e }")
print(m)
g = rlxc.grad_with_loss(m["f"], wrt=["x", "k"])
print(g)
print(rlxc.interpret(g, *map(__import__("numpy").array, ([1.0, 2.0, 3.0], 2.0, [1.0, 1.0, 1.0]))))
""")
    assert "%e = spring_energy %x, %k : f64[3]" in out
    assert "[2., 4., 6.]" in out
    assert "array(7.)" in out


@pytest.mark.parametrize("name", ["spring_energy", "neighbours"])
def test_the_laws_hold_for_it(name):
    out = run(f"""
import rlxc.testing
print(rlxc.testing.check_primitive({name!r}))
""")
    assert out.startswith(f"{name}: ")


def test_without_the_package_the_op_is_unknown():
    import rlxc

    with pytest.raises(rlxc.Error, match="no op 'spring_energy'"):
        rlxc.parse("func @f(%x: f64[3], %k: f64[]) -> f64[3] { %e = spring_energy %x, %k  return %e }")
