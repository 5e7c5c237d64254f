"""Which values fit which types: by hand, over every kind that specifications and parameters declare."""

from typing import Literal

import pytest

from lrlib.typed import fits

WHOLE, REAL, TRUTH, TEXT = 3, 2.5, True, "sgd"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (int, [WHOLE, 0, -1], [REAL, TRUTH, TEXT, None]),
        (float, [WHOLE, REAL], [TRUTH, TEXT, None]),
        (bool, [True, False], [0, 1, REAL, TEXT, None]),
        (str, [TEXT, ""], [WHOLE, TRUTH, None]),
        (Literal["sgd", "adam"], ["sgd", "adam"], ["rmsprop", WHOLE, None]),
        (int | None, [WHOLE, None], [REAL, TRUTH, TEXT]),
        (tuple[int, ...], [[], [1, 2], (1,)], [[REAL], [TRUTH], WHOLE, TEXT, None]),
    ],
)
def test_what_fits(kind, good, bad):
    assert all(fits(value, kind) for value in good)
    assert not any(fits(value, kind) for value in bad)
