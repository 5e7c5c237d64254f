"""Whether values are of their declared types."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type; a whole number is a real one, a truth value is no number, a list may be a tuple.

    Args:
        value: What JSON or a caller gives.
        kind: A plain type, a ``Literal``, a union of such, or a ``tuple`` of one.

    Example:
        >>> fits(3, float), fits(True, int), fits([1, 2], tuple[int, ...])
        (True, False, True)
    """
    members = get_args(kind)
    if get_origin(kind) is Literal:
        return value in members
    if get_origin(kind) is tuple:
        return isinstance(value, list | tuple) and all(fits(one, members[0]) for one in value)
    if members:  # a union
        return any(fits(value, one) for one in members)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
