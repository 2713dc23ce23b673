"""Options of compilation are checked where they are given."""

import pytest

import rlxc

LAYER = "func @f(%x: f32[4]) -> f32[4] { %y = tanh %x return %y }"


@pytest.mark.parametrize(
    ("option", "value"), [("threads", -1), ("threads", "2"), ("threads", 1.5), ("threads", True), ("fuse", "no"), ("vectorize", 0), ("profile", None)]
)
def test_an_option_of_another_kind_is_an_error(option, value):
    with pytest.raises(rlxc.PassError, match=f"'{option}' is .*not {value!r}") as error:
        rlxc.compile(LAYER, **{option: value})
    assert error.value.code == "RLX0403"
