"""Values of parameters: read from texts, checked, and named in messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from lrlib.typed import fits


def parsed(name: str, text: str, kind: Any) -> Any:
    """A text as a value of that kind: ``0,1,2`` or ``[0, 1, 2]`` for a list.

    Raises:
        ValueError: If it isn't one.
    """
    if get_origin(kind) is not list:
        return _read(name, text, kind, kind)
    if text.strip().startswith("["):
        return _read(name, text, list, kind)
    return [_read(name, part.strip(), get_args(kind)[0], kind) for part in text.split(",")]


def _read(name: str, text: str, kind: Any, wanted: Any) -> Any:
    """A text as JSON, unless a text is what is needed; the message about a bad one names the kind that is wanted."""
    if kind is str:
        return text
    try:
        return json.loads(text.lower() if kind is bool else text)
    except ValueError as error:
        raise ValueError(f"expected {name} to be {spelled(wanted)}, got {_shown(text)}") from error


def checked(name: str, value: Any, kind: Any, about: Mapping[str, Any]) -> Any:
    """A value of that kind, if it is one that the parameter's metadata allows; sequences as lists, reals as floats.

    Raises:
        ValueError: If it isn't.
    """
    many = get_origin(kind) is list
    member = get_args(kind)[0] if many else kind
    if many and (not isinstance(value, list | tuple) or not value):
        raise ValueError(f"expected {name} to be {spelled(kind)} that is not empty, got {_shown(value)}")
    values = list(value) if many else [value]
    for one in values:
        if not fits(one, member):
            raise ValueError(f"expected {name} to be {spelled(kind)}, got {_shown(value)}")
        if not about["check"](one):
            raise ValueError(f"expected {name} to be {about['expected']}, got {_shown(value)}")
    if many and len(set(values)) < len(values):
        raise ValueError(f"expected {name} without repetitions, got {_shown(value)}")
    values = [float(one) if member is float else one for one in values]
    return values if many else values[0]


def _shown(value: Any) -> str:
    """A value as the command line takes it."""
    return json.dumps(value, ensure_ascii=False, default=repr)


def spelled(kind: Any) -> str:
    """The kind in words."""
    singular = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    plural = {int: "whole numbers", float: "numbers", str: "texts"}
    return f"a list of {plural[get_args(kind)[0]]}" if get_origin(kind) is list else singular[kind]
