"""What a measurement has done so far, so that one that was interrupted goes on where it stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Journal:
    """Results of the parts of one measurement, a line of JSON each, in a file that lives as long as the measurement.

    Args:
        folder: Where journals are; one that can't be written keeps nothing.
        about: All that the results depend on, as JSON has it: another measurement has another journal.
    """

    def __init__(self, folder: Path, about: Any) -> None:
        text = json.dumps(about, sort_keys=True)
        self._file = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl"
        self._known: dict[str, Any] = {}
        with contextlib.suppress(OSError):
            for line in self._file.read_text().splitlines():
                with contextlib.suppress(ValueError):  # the last line, if it was being written
                    key, value = json.loads(line)
                    self._known[key] = value

    def once(self, key: str, compute: Callable[[], Any]) -> Any:
        """The result of a part, computed if it isn't there.

        Args:
            key: Names the part within the measurement.
            compute: Gives its result, which JSON has to be able to keep.

        Returns:
            The result, as it is read back from JSON.
        """
        if key not in self._known:
            line = json.dumps([key, compute()])
            self._known[key] = json.loads(line)[1]
            with contextlib.suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                with self._file.open("a") as file:
                    # A torn line may be there from before; this one must not become part of it.
                    file.write(f"\n{line}\n")
        return self._known[key]

    def close(self) -> None:
        """Forget everything, once the results are safe elsewhere."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
