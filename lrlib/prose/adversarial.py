"""Adversarial robustness: what the paper claims, and what our rows say, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lrlib import paper
from lrlib.prose.format import compare, percent, spread
from lrlib.results import Record, over_seeds
from lrlib.sections.measuring import VARIANTS
from lrlib.sections.parameters import radius


def claim() -> str:
    """What the paper says, with its own numbers."""
    hard: dict[str, object] = {"dataset": "cifar10", "setting": "white_box", "eps": "16/255", "steps": 20}
    large = {v: paper.printed("table1", arch="resnet50", variant=v, **hard) for v in ("N-LR", "1-LR")}
    small = {v: paper.printed("table1", arch="resnet18", variant=v, **hard) for v in VARIANTS}
    rho = {v: paper.printed("table3", variant=v, attack="deepfool", setting="white_box") for v in VARIANTS}
    return (
        "Section 3.1: trained on clean images alone, LR models withstand attacks that break N-LR. Under 20 steps of "
        f"PGD at 16/255, ResNet-50 1-LR keeps {large['1-LR']} % where N-LR keeps {large['N-LR']} %; for ResNet-18 it "
        f"is {small['N-LR']} % (N-LR), {small['1-LR']} % (1-LR) and {small['2-LR']} % (2-LR) (table 1). DeepFool needs "
        f"a perturbation of ρ = {rho['2-LR']} (2-LR) and {rho['1-LR']} (1-LR) against {rho['N-LR']} (N-LR) to fool "
        "99 % of the images (table 3)."
    )


def units(records: Mapping[str, Record]) -> str:
    """In which unit the radii of each record are, for one table shows all of them."""
    meant = {"pixel": "pixels in [0, 1]", "normalized": "pixels divided by the dataset's standard deviation"}
    found = {
        heading: " and ".join(dict.fromkeys(meant[run["parameters"]["unit"]] for run in record.runs))
        for heading, record in records.items()
    }
    said = "; ".join(f"{heading}, {unit}" for heading, unit in found.items())
    return f"The unit of the radii: {said}; the paper does not state its own."


def findings(record: Record) -> list[str]:
    """What the rows say, in sentences."""
    table = record.frame("table1")
    attacked = table[table.metric == "adversarial_accuracy"]
    largest = max(attacked.eps, key=radius)
    steps = int(attacked.steps.max())
    hardest = attacked[(attacked.eps == largest) & (attacked.steps == steps)]
    white, black = (hardest[hardest.setting == setting] for setting in ("white_box", "black_box"))
    rho = record.frame("table3")
    rho, success = rho[rho.metric == "rho"], rho[rho.metric == "success_rate"]
    return [
        f"**White box**, PGD with {steps} steps at {largest}: {spread(white, 'N-LR')} of N-LR's answers stay right, "
        f"{spread(white, '1-LR')} of 1-LR's and {spread(white, '2-LR')} of 2-LR's. " + compare(white, "The accuracy"),
        f"**Black box**, the same examples made on N-LR: {spread(black, '1-LR')} for 1-LR and {spread(black, '2-LR')} "
        f"for 2-LR. {_masking(attacked)}",
        *_steps_too_short(record),
        f"**DeepFool** changes an image by ρ = {_mean(rho, 'N-LR')} of its norm for N-LR, {_mean(rho, '1-LR')} for "
        f"1-LR and {_mean(rho, '2-LR')} for 2-LR, and fools the network on {percent(success.value.mean())} of images. "
        + compare(rho, "ρ"),
    ]


def _mean(rows: pd.DataFrame, variant: str) -> str:
    return f"{rows[rows.variant == variant].value.mean():.3f}"


def _masking(attacked: pd.DataFrame) -> str:
    """Where an attack that sees the network does worse than one that doesn't, the sign of masked gradients."""
    mean = over_seeds(attacked, ["variant", "eps", "steps", "setting"])
    table = mean.pivot(index=["variant", "eps", "steps"], columns="setting", values="value").dropna()
    worse = table[table.white_box > table.black_box]
    if worse.empty:
        return (
            "The attack that sees the network is the stronger one at every radius and number of steps, as it should be "
            "without masked gradients."
        )
    return (
        f"The transferred attack is the stronger one in {len(worse)} of {len(table)} settings "
        f"({', '.join(sorted(set(worse.index.get_level_values('variant'))))}): a sign of masked gradients."
    )


def _steps_too_short(record: Record) -> list[str]:
    """What follows when an attack without a random start can't reach the edge of its ball."""
    parameters = record.runs[0]["parameters"]
    steps, reach = min(parameters["steps"]), min(parameters["steps"]) * radius(parameters["step_size"])
    beyond = [eps for eps in parameters["eps"] if radius(eps) > reach]
    if parameters["random_start"] or len(beyond) < 2:
        return []
    return [
        f"**Too few steps**: from the image itself, {steps} steps of {parameters['step_size']} reach no further than "
        f"{steps} x {parameters['step_size']}, so {steps} steps are one and the same attack at {', '.join(beyond)}. In "
        "the paper's table 1 the accuracy at 7 steps falls with the radius, so its step was longer or its start random."
    ]
