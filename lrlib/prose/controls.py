"""Controls: what the paper says of the parts of its method, and what our rows say, in sentences."""

from __future__ import annotations

import pandas as pd

from lrlib.prose.format import percent
from lrlib.results import Record, over_seeds
from lrlib.sections.controls import PCA_CONTROL


def claim() -> str:
    """What the paper says."""
    return (
        "The paper calls its method insensitive to the target rank, and says in section 2 that projecting the "
        "representations of an ordinary network onto a subspace after training gives neither robustness nor "
        "compressibility. It has no control without one of the two losses."
    )


def findings(record: Record) -> list[str]:
    """What the rows say, in sentences."""
    table = _means(record)
    eps = record.frame("controls").eps.dropna().iloc[0]
    pgd = ("adversarial_accuracy", eps)
    sentences = []
    for name in ("1-LR", "norm loss only", "projection loss only", "Bottle-1LR", PCA_CONTROL):
        ours, plain = table.loc[name], table.loc["N-LR"]
        sentences.append(
            f"**{name}** against N-LR: accuracy {percent(ours[_ACCURACY])} against {percent(plain[_ACCURACY])}, "
            f"variance ratio {ours[_RATIO]:.3f} against {plain[_RATIO]:.3f}, accuracy under PGD at {eps} "
            f"{percent(ours[pgd])} against {percent(plain[pgd])}, DeepFool's ρ {ours[_RHO]:.4f} against "
            f"{plain[_RHO]:.4f}."
        )
    ranks = _ranks(record)
    least, most = table.loc[list(ranks)].min(), table.loc[list(ranks)].max()
    farthest = ranks[str(table.loc[list(ranks), _RHO].idxmax())]
    sentences.append(
        f"**Rank**, 1-LR at {', '.join(str(rank) for rank in sorted(ranks.values()))}: accuracy from "
        f"{percent(least[_ACCURACY])} to {percent(most[_ACCURACY])}, under PGD at {eps} from {percent(least[pgd])} to "
        f"{percent(most[pgd])}, DeepFool's ρ from {least[_RHO]:.4f} to {most[_RHO]:.4f}, the largest at rank "
        f"{farthest}."
    )
    return sentences


_ACCURACY, _RATIO, _RHO = ("accuracy", ""), ("variance_ratio", ""), ("rho", "")


def _means(record: Record) -> pd.DataFrame:
    """A row for each control, a column for each metric and radius."""
    frame = record.frame("controls")
    frame = frame[frame.metric != "noise_accuracy"].fillna({"eps": ""})
    mean = over_seeds(frame, ["control", "metric", "eps"])
    table: pd.DataFrame = mean.pivot(index="control", columns=["metric", "eps"], values="value")
    return table


def _ranks(record: Record) -> dict[str, int]:
    """The controls that are 1-LR at some rank."""
    frame = record.frame("controls")
    own = frame[frame.control.str.startswith("1-LR")]
    return {name: int(rank) for name, rank in own.groupby("control")["rank"].first().items()}
