"""The book's tables: what every page shows, here, and what some do, in a module each."""

from lrlib.tables.beside import (
    PAPER,
    THIS_RUN,
    accuracies,
    beside_paper,
    beside_this_run,
    by_heading,
    matrix,
    parameters,
    remarks,
    sentences,
)

__all__ = [
    "PAPER",
    "THIS_RUN",
    "accuracies",
    "beside_paper",
    "beside_this_run",
    "by_heading",
    "matrix",
    "parameters",
    "remarks",
    "sentences",
]
