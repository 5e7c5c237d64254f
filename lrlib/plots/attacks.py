"""Figures of the pages on attacks."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter

from lrlib.plots.style import BLUE, COLOURS, GREEN, ORANGE, explain, finished, lines, new_figure, note
from lrlib.results import Record, over_seeds, unpack_image
from lrlib.sections import calibrated
from lrlib.sections import calibration as section
from lrlib.sections.parameters import radius

ATTACKS = {"pgd": "PGD", "iterative_least_likely": "iterative least likely"}
_ON_THE_WAY = {"instantaneous_accuracy": BLUE, "cumulative_accuracy": ORANGE}


def attacked(record: Record) -> Figure:
    """Table 1 drawn: accuracy against the radius, a panel for each of its settings and numbers of steps."""
    frame = record.frame("table1")
    frame = frame[(frame.metric == "adversarial_accuracy") & frame.setting.isin(["white_box", "black_box"])]
    frame = frame.assign(steps=frame.steps.astype(int))
    panels = list(frame.groupby(["setting", "steps"], sort=False).groups)
    panels.sort(key=lambda panel: (panel[0] != "white_box", panel[1]))
    figure, axes = new_figure(record, len(panels), height=3.0)
    for ax, (setting, steps) in zip(axes, panels, strict=True):
        part = frame[(frame.setting == setting) & (frame.steps == steps)]
        part = part.assign(radius=[255 * radius(eps) for eps in part.eps])
        lines(ax, over_seeds(part, ["variant", "radius"]), x="radius", names=COLOURS)
        ax.set(
            title=f"{setting.replace('_', ' ')}, {steps} steps",
            xlabel="radius in 1/255",
            ylabel="accuracy",
            ylim=(0, 1),
        )
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return finished(figure, axes)


def gallery(record: Record) -> Figure:
    """Figure 10: originals above, DeepFool's images below, a pair of rows for each variant."""
    frame = record.frame("figure10")
    frame = frame[frame.seed == frame.seed.min()]  # a record whose seeds were measured one by one has some of each
    variants, examples = list(dict.fromkeys(frame.variant)), sorted(set(frame.example))
    figure, axes = plt.subplots(
        2 * len(variants), len(examples), squeeze=False, figsize=(1.25 * len(examples) + 0.8, 2.5 * len(variants))
    )
    for row in frame.itertuples():
        top, column = 2 * variants.index(row.variant), examples.index(row.example)
        pairs = ((row.image, f"{row.predicted}"), (row.image_adv, f"{row.predicted_adv}, ρ {row.value:.2g}"))
        for ax, (image, title) in zip(axes[top : top + 2, column], pairs, strict=True):
            ax.imshow(unpack_image(image), cmap="gray", vmin=0, vmax=255)
            ax.set_title(title, fontsize="small")
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
    for i, variant in enumerate(variants):
        axes[2 * i, 0].set_ylabel(f"{variant}\noriginal")
        axes[2 * i + 1, 0].set_ylabel(f"{variant}\nDeepFool")
    explain(figure, note(record))
    return figure


def ladder(record: Record) -> Figure:
    """Figure 4a: accuracy against the mean relative size of the perturbation, a panel for each attack."""
    frame = record.frame("figure4a")
    keys = ["variant", "attack", "eps"]
    right, size = (over_seeds(frame[frame.metric == metric], keys) for metric in ("adversarial_accuracy", "rho"))
    table = right.assign(rho=size.set_index(keys).value.reindex(pd.MultiIndex.from_frame(right[keys])).to_numpy())
    names = list(dict.fromkeys(table.attack))
    figure, axes = new_figure(record, len(names))
    for ax, name in zip(axes, names, strict=True):
        lines(ax, table[table.attack == name], x="rho", names=COLOURS)
        ax.set(title=ATTACKS[name], xlabel="size of the perturbation ρ", ylabel="accuracy", ylim=(0, 1))
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return finished(figure, axes)


def path(record: Record) -> Figure:
    """Figure 11: share of answers that an attack has not changed, now and at any step so far."""
    artefacts = ("figure11a", "figure11b")
    figure, axes = new_figure(record, len(artefacts))
    for ax, artefact in zip(axes, artefacts, strict=True):
        frame = record.frame(artefact)
        curves = over_seeds(frame, ["metric", "step"])
        lines(ax, curves, x="step", names=_ON_THE_WAY, by="metric")
        ax.set(title=ATTACKS[frame.attack.iloc[0]], xlabel="steps of the attack", ylabel="accuracy", ylim=(0, 1))
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return finished(figure, axes)


def calibration(record: Record) -> Figure:
    """The paper's row of N-LR beside ours: the closest setting, and the closest of each unit."""
    figure, axes = new_figure(record, len(section.STEPS), bands=False)
    frame = record.frame("calibration")
    frame = frame[frame.stage == "screened"]
    wanted = calibrated.target()
    best = calibrated.residuals(record, "screened").groupby("unit", sort=False).head(1)
    for ax, steps in zip(axes, section.STEPS, strict=True):
        radii = [255 * radius(eps) for eps in section.EPS]
        ax.plot(radii, [wanted[eps, steps] for eps in section.EPS], color="black", marker="*", label="paper")
        for (_, setting), colour, marker in zip(best.iterrows(), (BLUE, ORANGE, GREEN), "os^", strict=False):
            own = frame[(frame[calibrated.SETTING] == setting[calibrated.SETTING]).all(axis=1) & (frame.steps == steps)]
            values = own.set_index("eps").value.reindex(list(section.EPS))
            ax.plot(radii, values, color=colour, marker=marker, label=f"closest in {setting.unit}")
        ax.set(title=f"{steps} steps", xlabel="radius in 1/255", ylabel="accuracy of N-LR", ylim=(0, 1))
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return finished(figure, axes)


def radii(record: Record) -> Figure:
    """Accuracy against the radius in pixels: under the paper's loss, and in the worst case of three losses."""
    frame = record.frame("audit_radii")
    frame = frame.assign(radius=[255 * radius(eps) for eps in frame.eps])
    titles = {"paper": "cross-entropy", "strong": "worst case of three losses"}
    figure, axes = new_figure(record, len(titles))
    for ax, (group, title) in zip(axes, titles.items(), strict=True):
        lines(ax, over_seeds(frame[frame.group == group], ["variant", "radius"]), x="radius", names=COLOURS)
        ax.set(title=title, xscale="log", xlabel="radius in 1/255 of a pixel's range", ylabel="accuracy", ylim=(0, 1))
        ax.set_xlim(0.9 * frame.radius.min(), 1.1 * frame.radius.max())
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return finished(figure, axes)
