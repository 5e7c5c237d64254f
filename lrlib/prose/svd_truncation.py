"""SVD truncation: what the paper claims, and what our rows say, in sentences."""

from __future__ import annotations

import pandas as pd

from lrlib import paper
from lrlib.prose.format import percent
from lrlib.results import Record, over_seeds


def claim() -> str:
    """What the report says, in its findings about figure 7."""
    stated = paper.findings()
    return "The report on singular values says in its section 3.6: " + " ".join(
        stated[stated.artefact == "report_figure7"].sentence
    )


def findings(record: Record) -> list[str]:
    """What the rows say, in sentences."""
    scale = record.frame().scale.iloc[0]
    rows = record.frame()
    frame = over_seeds(rows[rows.scale == scale], ["arch", "metric", "fraction"])
    sentences = []
    for arch in dict.fromkeys(frame.arch):
        table = frame[frame.arch == arch].pivot(index="fraction", columns="metric", values="value")
        least, best = table.index.min(), table.adversarial_accuracy.idxmax()
        adversarial, test = table.adversarial_accuracy, table.test_accuracy
        sentences.append(
            f"**{arch}**, lowest singular values times {scale:g}: with {percent(least, 0)} of them scaled the accuracy "
            f"on its own adversaries is {percent(adversarial[least])}; it is highest, {percent(adversarial[best])}, "
            f"with {percent(best, 0)} scaled, where the test accuracy has gone from {percent(test[least])} to "
            f"{percent(test[best])}."
        )
    return [*sentences, *_claimed(frame)]


def _claimed(frame: pd.DataFrame) -> list[str]:
    """What the report's claims about 2L ask for: 40 % scaled, and 5 to 15 %."""
    table = frame[frame.arch == "2L"].pivot(index="fraction", columns="metric", values="value")
    if not {0.0, 0.05, 0.1, 0.15, 0.4} <= set(table.index):
        return []
    few = ", ".join(percent(table.test_accuracy[fraction]) for fraction in (0.05, 0.1, 0.15))
    return [
        f"**The report's claims about 2L**: with 40 % scaled, adversarial accuracy goes from "
        f"{percent(table.adversarial_accuracy[0.0])} to {percent(table.adversarial_accuracy[0.4])}, test accuracy from "
        f"{percent(table.test_accuracy[0.0])} to {percent(table.test_accuracy[0.4])} and train accuracy from "
        f"{percent(table.train_accuracy[0.0])} to {percent(table.train_accuracy[0.4])}. With 5, 10 and 15 % scaled, "
        f"test accuracy is {few}."
    ]
