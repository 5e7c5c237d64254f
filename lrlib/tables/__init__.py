"""The book's tables: what every page shows, here, and what some do, in a module each."""

from lrlib.tables.beside import (
    accuracies,
    beside_paper,
    beside_this_run,
    by_heading,
    matrix,
    parameters,
    sentences,
)

__all__ = [
    "accuracies",
    "beside_paper",
    "beside_this_run",
    "by_heading",
    "matrix",
    "parameters",
    "sentences",
]
