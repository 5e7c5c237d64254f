"""The LR layer: what the paper says of it, the lines of the library that do it, and what our rows say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from lrlib import factors, models, presets
from lrlib.attachment import Attachment
from lrlib.dense import Dense
from lrlib.factored import Factored
from lrlib.lowrank import LowRank
from lrlib.prose.excerpts import excerpt
from lrlib.prose.format import percent, spread
from lrlib.results import Record, over_seeds
from lrlib.sections import layer_experiment
from lrlib.sections.benchmarks import COLUMNS, MEMBERS, STEPS
from lrlib.sections.layer_costs import costs

# What the page shows for each step of the method: a function and the statements of it.
_LINES: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "activations": (Attachment._collector, ("self._activations[tap] =",)),
    "losses": (LowRank.forward, ("projection, seen =", "norm = ", "return Losses")),
    "projection loss": (Dense.loss, ("residual =", "return residual")),
    "weights": (Attachment.loss, ("scale =", "terms.append")),
    "step": (LowRank.step, ("self.matrix.descend_(", "mean =", "pull =", "self.b.sub_", "self.steps +=", "_cut_(")),
    "gradient": (Dense.descend_, ()),
    "start": (LowRank.start_, ("mean = a.mean", "Q, R =", "svd(R.T", "self.b.copy_")),
    "exact": (factors.exact, ()),
    "nystrom": (factors._sampled, ("index =", "C = W[", "smoothed_eigh", "CQ = ", "return Factors")),
    "ensemble": (factors.ensemble, ()),
    "factored step": (Factored.descend_, ("x, c =", "_append_(seen.a, x)", "cross =", "cross, cross.T", "= 2 * scale")),
    "training": (
        layer_experiment.watched,
        ("loss = F.cross", "loss = loss +", "zero_grad", "backward", "optimizer.step", "regularizer.step"),
    ),
}


def code(name: str) -> str:
    """The lines of the library that do a step of the method, as Markdown.

    Raises:
        ValueError: If there is no such step.
    """
    if name not in _LINES:
        raise ValueError(f"expected one of {', '.join(_LINES)}, got {name!r}")
    function, fragments = _LINES[name]
    return excerpt(function, *fragments)


def claim() -> str:
    """What the paper says, with its own numbers."""
    spec = presets.spec("paper", "2-LR", 0)
    lr = spec.lr
    assert lr is not None
    wide = 256 * models.FULL_WIDTH
    last, early = models.places("resnet18")
    return (
        "Section 2: a regularizer for any layer of any network, easy to put into existing code, that forces the "
        "representations to lie mostly in a low-dimensional affine subspace, scales to wide layers, and needs nothing "
        f"at prediction. The rank of W is cut every {lr.cut_every} steps (appendix C), to "
        f"{models.target_rank('resnet18', last, 8 * models.FULL_WIDTH)} before the FC layer and to "
        f"{models.target_rank('resnet18', early, wide)} of {wide:,} before the fourth block, by Nyström approximations "
        f"from {COLUMNS} r columns."
    )


def findings(record: Record) -> list[str]:
    """What the rows say, in sentences."""
    return [_collapse(record), _price(record), _losses(record), _window(record), _projections(record)]


def _at_the_end(record: Record, metric: str) -> pd.DataFrame:
    frame = record.frame("course")
    return frame[(frame.metric == metric) & (frame.step == frame.step.max())]


def in_short(record: Record) -> str:
    """What the small training shows, in a sentence."""
    frame, first = record.frame("course"), _parameter(record, "rank") + 1
    tail = frame[frame.metric == "variance_ratio"].assign(value=lambda ratio: 1 - ratio.value)
    start, last = tail.step.min(), tail.step.max()
    ends = {step: over_seeds(tail[tail.step == step], ["variant"]).set_index("variant").value for step in (start, last)}
    times = ends[last] / ends[start]
    return (
        f"from step {start} to step {last} the share of the energy behind direction {first} changes by a factor of "
        f"{times['1-LR']:.2g} with the layer and of {times['N-LR']:.2g} without."
    )


def _collapse(record: Record) -> str:
    rank = _parameter(record, "rank")
    return (
        f"**The spectrum collapses** behind direction {rank + 1}, which is r + 1, for the affine subspace has b beside "
        f"its r directions: {in_short(record)} The variance ratio at {rank + 1} ends at {_ratio(record, '1-LR')} with "
        f"it and at {_ratio(record, 'N-LR')} without."
    )


def _ratio(record: Record, variant: str) -> str:
    return spread(_at_the_end(record, "variance_ratio"), variant, digits=2)


def _price(record: Record) -> str:
    rows = _at_the_end(record, "accuracy")
    return (
        f"**Accuracy** ends at {spread(rows, '1-LR')} with the layer and at {spread(rows, 'N-LR')} without. So low a "
        "rank is chosen to be seen, not to be used."
    )


def _losses(record: Record) -> str:
    frame = record.frame("course")

    def ends(metric: str) -> str:
        rows = over_seeds(frame[frame.metric == metric], ["step"]).sort_values("step")
        return f"from {rows.value.iloc[0]:.2g} to {rows.value.iloc[-1]:.2g}"

    return (
        f"**The losses**: the projection loss goes {ends('projection_loss')}, the norm loss {ends('norm_loss')}, which "
        f"has a weight of {_parameter(record, 'lambda_n'):g} against {_parameter(record, 'lambda_c'):g}."
    )


def _window(record: Record) -> str:
    frame = record.frame("window")
    ranks = frame[frame.metric == "rank_of_W"]
    cut = ranks[(ranks.step > 0) & (ranks.step % STEPS == 0)].value
    between = ranks[ranks.step % STEPS != 0].value
    tails = frame[(frame.metric == "tail") & (frame.step % STEPS == STEPS - 1)]
    first, second = (over_seeds(tails[tails.step == step], ["step"]).value.iloc[0] for step in sorted(set(tails.step)))
    return (
        f"**W** is of rank {between.min():.0f} to {between.max():.0f} between the cuts and of rank "
        f"{cut.max():.0f} at most after each. What is beyond that rank is small: {percent(first)} of its norm a step "
        f"before the first cut, {percent(second)} a step before the second."
    )


def _projections(record: Record) -> str:
    frame = record.frame("projection")
    (m,), (rank,) = set(frame.m), set(frame["rank"])
    error = over_seeds(frame[frame.metric == "error"], ["alternative"]).set_index("alternative").value
    ranks = frame[frame.metric == "rank_of_result"].groupby("alternative").value.max()
    others = ", ".join(
        f"{error[name] / error['exact']:.2f} times that for {said}"
        for name, said in (("nystrom", "Nyström"), ("ensemble", "the ensemble"), ("randomized", "the randomized one"))
    )
    return (
        f"**Projections** of a W with m = {m:.0f} to rank {rank:.0f}: the exact one cuts off "
        f"{percent(error['exact'], 2)} of the norm. The error is {others}. The average of {MEMBERS} members has rank "
        f"{ranks['ensemble as written']:.0f} at most, and {ranks['ensemble']:.0f} once it is cut."
    )


def counted(record: Record) -> str:
    """The smaller of W's two forms, here and at the paper's size, in a sentence."""
    paper = presets.spec("paper", "2-LR", 0)
    wide = 256 * models.FULL_WIDTH
    rank = models.target_rank("resnet18", models.places("resnet18")[1], wide)
    sizes = {
        "here": (_parameter(record, "features"), _parameter(record, "rank"), _parameter(record, "batch_size")),
        "before the fourth block of the paper's ResNet-18": (wide, rank, paper.batch_size),
    }
    said = []
    for where, (m, r, n) in sizes.items():
        found = costs(m, r, n)
        floats, work = (found["factored"][i] / found["dense"][i] for i in (0, 1))
        said.append(
            f"{where}, with {m:,} activations, rank {r} and batches of {n}, the factored W keeps {floats:.3g} times "
            f"the numbers and takes {work:.3g} times the multiplications of the dense one"
        )
    return f"Counted: {'; '.join(said)}. The layer takes the form that is cheaper."


def _parameter(record: Record, name: str) -> int:
    value: int = record.runs[-1]["parameters"][name]
    return value


def timed(record: Record, seconds: Mapping[str, float]) -> pd.DataFrame:
    """Each projection: its error and rank as means over seeds, and its time in this execution.

    Args:
        record: Its rows.
        seconds: What the section's ``seconds`` found just now.
    """
    frame = record.frame("projection")
    mean = over_seeds(frame, ["metric", "alternative"]).set_index(["metric", "alternative"]).value
    names = list(dict.fromkeys(frame.alternative))
    return pd.DataFrame(
        {
            "relative error": [f"{mean['error', name]:.5f}" for name in names],
            "over the exact one's": [f"{mean['error', name] / mean['error', 'exact']:.2f}" for name in names],
            "rank of the result": [f"{mean['rank_of_result', name]:.0f}" for name in names],
            "time, this run": [f"{1000 * seconds[name]:.3g} ms" for name in names],
            "over the exact one's time": [f"{seconds[name] / seconds['exact']:.2f}" for name in names],
        },
        index=pd.Index(names, name="projection"),
    )
