"""The parameters of a page: names, types, ranges, and their defaults at each preset."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from typing import Any, Literal, Self, get_type_hints

from lrlib import presets
from lrlib.data import Dataset
from lrlib.sections.values import checked, parsed, spelled

# torch and scikit-learn both take such a seed.
LARGEST_SEED = 2**32 - 1


def parameter(
    help: str,
    *,
    expected: str,
    check: Callable[[Any], bool],
    counts: Literal["train", "test"] | None = None,
    defines: bool = True,
) -> Any:
    """A field of a page's parameters.

    Args:
        help: What it is, for the page and the command line.
        expected: What a good value is, for the message about a bad one.
        check: Whether a value of the right type is good; for a list, whether one of its members is.
        counts: Which images it is a number of, so that it can be held to how many a dataset has.
        defines: Whether it says what is measured; one that only says whether to, or which part, doesn't.
    """
    return field(metadata={"help": help, "expected": expected, "check": check, "counts": counts, "defines": defines})


def switch(help: str, *, defines: bool = True) -> Any:
    """A :func:`parameter` that is true or false."""
    return parameter(help, expected="true or false", check=lambda v: True, defines=defines)


def anew() -> Any:
    """The parameter ``measure`` of the pages that otherwise show what is committed."""
    return switch("measure anew instead of showing the committed record", defines=False)


def radius(text: str) -> float:
    """The number that a radius such as ``8/255`` or ``0.5/255`` stands for."""
    above, slash, below = text.replace(" ", "").partition("/")
    return float(Fraction(above) / Fraction(below if slash else 1))


def is_radius(text: str) -> bool:
    """Whether the text is a number or a fraction in (0, 1]."""
    try:
        return 0 < radius(text) <= 1
    except (ValueError, ZeroDivisionError):
        return False


@dataclass(frozen=True)
class Parameters:
    """What every page takes; a page's own class adds to it and says the defaults in :meth:`defaults`."""

    preset: str = parameter(
        "chooses the default of every other parameter",
        expected="one of quick, small, paper",
        check=presets.PRESETS.__contains__,
    )

    @classmethod
    def shared(cls, preset: str) -> dict[str, Any]:
        """Values at a preset of the parameters that several pages have."""
        return {}

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """Values at a preset of the page's other parameters."""
        raise NotImplementedError

    @classmethod
    def networks(cls, preset: str) -> list[dict[str, str]]:
        """The networks that a preset's record is about, as values of the parameters that choose one."""
        return [{}]

    @classmethod
    def of(cls, preset: str, **given: Any) -> Self:
        """Parameters with the preset's defaults wherever ``given`` has None or nothing.

        Raises:
            ValueError: If a name, type or value is not as expected.
        """
        presets.get(preset)
        types = cls.types()
        unknown = [name for name in given if name not in types]
        if unknown:
            raise ValueError(f"expected parameters among {', '.join(types)}, got {', '.join(unknown)}")
        chosen = {name: value for name, value in given.items() if value is not None}
        values = cls.shared(preset) | cls.defaults(preset) | chosen
        for one in fields(cls):
            if one.name != "preset":
                values[one.name] = checked(one.name, values[one.name], types[one.name], one.metadata)
        return cls(preset=preset, **values)

    @classmethod
    def types(cls) -> dict[str, Any]:
        """The type of each parameter."""
        return get_type_hints(cls)

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> Self:
        """Parameters from texts, as the command line gives them.

        Raises:
            ValueError: If a name, type or value is not as expected.
        """
        types = cls.types()
        values = {name: parsed(name, text, types[name]) if name in types else text for name, text in given.items()}
        return cls.of(values.pop("preset", "quick"), **values)

    @classmethod
    def one(cls, name: str, text: str) -> Any:
        """The checked value of a single parameter from its text.

        Raises:
            ValueError: If the type or value is not as expected.
        """
        kind, metadata = cls.types()[name], {one.name: one.metadata for one in fields(cls)}
        return checked(name, parsed(name, text, kind), kind, metadata[name])

    def fit(self, dataset: Dataset) -> None:
        """Hold the numbers of images to those that a dataset has.

        Raises:
            ValueError: If one is too large.
        """
        for one in fields(self):
            part = one.metadata["counts"]
            available = {"train": len(dataset.x_train), "test": len(dataset.x_test)}.get(part)
            if available is not None and getattr(self, one.name) > available:
                raise ValueError(
                    f"expected {one.name} to be at most {available}, the {part} images of {dataset.name}, "
                    f"got {getattr(self, one.name)}"
                )

    def at_defaults(self) -> bool:
        """Whether what is measured is what the preset's record has, all of it or a part."""
        own = type(self).of(self.preset)
        return all(getattr(self, one.name) == getattr(own, one.name) for one in fields(self) if one.metadata["defines"])

    def content(self) -> dict[str, Any]:
        """The values as a record keeps them."""
        return asdict(self)

    def table(self) -> list[dict[str, str]]:
        """Name, type, value, default at the preset and meaning of each parameter, as text."""
        default, types = type(self).of(self.preset), type(self).types()
        return [
            {
                "parameter": one.name,
                "type": spelled(types[one.name]),
                "value": json.dumps(getattr(self, one.name)),
                f"default at {self.preset}": json.dumps(getattr(default, one.name)),
                "meaning": one.metadata["help"],
            }
            for one in fields(self)
        ]


@dataclass(frozen=True)
class SeededParameters(Parameters):
    """What every page takes that measures trained networks."""

    seeds: list[int] = parameter(
        "training seeds of each network",
        expected=f"whole numbers from 0 to {LARGEST_SEED}",
        check=lambda v: 0 <= v <= LARGEST_SEED,
    )

    def first_seed(self) -> int | None:
        """The first of the preset's seeds, with which what has one seed alone is measured, if it is among these."""
        first = type(self).of(self.preset).seeds[0]
        return first if first in self.seeds else None

    def following(self, seed: int) -> int | None:
        """The preset's seed after this one, in a circle; None if this is none of them or the only one."""
        seeds = type(self).of(self.preset).seeds
        if seed not in seeds or len(seeds) == 1:
            return None
        return seeds[(seeds.index(seed) + 1) % len(seeds)]


@dataclass(frozen=True)
class PageParameters(SeededParameters):
    """What every page takes that measures them on some of the test images."""

    examples: int = parameter(
        "test images, the first ones of the test set",
        expected="a whole number from 1 on",
        check=lambda v: v >= 1,
        counts="test",
    )
