"""The book's tables: what every page shows, here, and what some do, in a module each."""

from lrlib.tables.beside import (
    accuracies,
    beside_paper,
    beside_this_run,
    by_heading,
    matrix,
    of_other_networks,
    of_other_networks_beside_paper,
    parameters,
    sentences,
)

__all__ = [
    "accuracies",
    "beside_paper",
    "beside_this_run",
    "by_heading",
    "matrix",
    "of_other_networks",
    "of_other_networks_beside_paper",
    "parameters",
    "sentences",
]
