"""Adversarial robustness: what the paper claims, and what our rows say, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lrlib import paper
from lrlib.prose.format import compare, percent, spread, unit
from lrlib.results import Record, over_seeds
from lrlib.sections.adversarial import TWIN, other_unit
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


def units(records: Mapping[str, Record], *, other: bool = False) -> str:
    """In which unit the radii of each record are, or its other radii, for one table shows all of them."""
    said = []
    for heading, record in records.items():
        names = dict.fromkeys(run["parameters"]["unit"] for run in record.runs)
        said.append(f"{heading}, {' and '.join(unit(other_unit(name) if other else name) for name in names)}")
    return f"The unit of the radii: {'; '.join(said)}; the paper does not state its own."


def findings(record: Record) -> list[str]:
    """What the rows say, in sentences."""
    table = record.frame("table1")
    attacked = table[table.metric == "adversarial_accuracy"]
    white, black = (_hardest(attacked, setting) for setting in ("white_box", "black_box"))
    steps, largest = int(attacked.steps.max()), white.eps.iloc[0]
    smallest = attacked[(attacked.setting == "white_box") & (attacked.steps == steps)]
    smallest = smallest[smallest.eps == min(smallest.eps, key=radius)]
    named = unit(record.runs[0]["parameters"]["unit"])
    # A record may have been made with some seeds alone, or before the page had all of these.
    parts = {
        "table1_other_unit": _in_the_other_unit,
        "table2": _others,
        "table10": _smallest,
        "figure4a": _ladder,
        "figure11b": _path,
    }
    return [
        f"**White box**, PGD with {steps} steps, at {smallest.eps.iloc[0]} ({named}): {spread(smallest, 'N-LR')} of "
        f"N-LR's answers stay right, {spread(smallest, '1-LR')} of 1-LR's and {spread(smallest, '2-LR')} of 2-LR's. "
        f"{compare(smallest, 'The accuracy')} At {largest} it is {spread(white, 'N-LR')}, {spread(white, '1-LR')} and "
        f"{spread(white, '2-LR')}.",
        f"**Black box**, examples made on N-LR at {largest}: {spread(black, '1-LR')} for 1-LR and "
        f"{spread(black, '2-LR')} for 2-LR. {_masking(attacked)}",
        *_twins(attacked),
        *_steps_too_short(record),
        _deepfool(record),
        *(say(record) for artefact, say in parts.items() if artefact in set(record.frame().artefact)),
    ]


def floor(record: Record) -> str:
    """How little an attack leaves of the plain network, here and in the paper, at the audit's radius."""
    where: dict[str, object] = {"variant": "N-LR", "setting": "white_box", "eps": "8/255", "steps": 20}
    rows = record.frame("table1")
    rows = rows[(rows.metric == "adversarial_accuracy") & (rows.steps == where["steps"]) & (rows.eps == where["eps"])]
    rows = rows[rows.setting == where["setting"]]
    printed = paper.printed("table1", dataset="cifar10", arch="resnet18", **where)
    return (
        f"PGD leaves N-LR {spread(rows, 'N-LR')} here at {where['eps']}, {printed} % in the paper "
        "([which attack was it?](calibration)): the less is left, the smaller differences are, whatever the networks."
    )


def _hardest(attacked: pd.DataFrame, setting: str) -> pd.DataFrame:
    """The rows of the largest radius and number of steps."""
    rows = attacked[(attacked.setting == setting) & (attacked.steps == attacked.steps.max())]
    return rows[rows.eps == max(rows.eps, key=radius)]


def _in_the_other_unit(record: Record) -> str:
    rows = record.frame("table1_other_unit")
    rows = rows[(rows.setting == "white_box") & (rows.steps == rows.steps.max())]
    rows = rows[rows.eps == min(rows.eps, key=radius)]
    name = other_unit(record.runs[0]["parameters"]["unit"])
    return (
        f"**In {unit(name)}** the same attack at the smallest radius, {rows.eps.iloc[0]}, leaves "
        f"{spread(rows, 'N-LR')} (N-LR), {spread(rows, '1-LR')} (1-LR) and {spread(rows, '2-LR')} (2-LR)."
    )


def _masking(attacked: pd.DataFrame) -> str:
    """Where an attack that sees the network does worse than one that doesn't, the sign of masked gradients."""
    mean = over_seeds(attacked, ["variant", "eps", "steps", "setting"])
    table = mean.pivot(index=["variant", "eps", "steps"], columns="setting", values="value")
    table = table[["white_box", "black_box"]].dropna()
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


def _twins(attacked: pd.DataFrame) -> list[str]:
    """What examples do to the same network trained from another seed."""
    if TWIN not in set(attacked.setting):
        return []
    rows = _hardest(attacked, TWIN)
    said = ", ".join(f"{spread(rows, name)} of {name}'s" for name in VARIANTS)
    return [f"**Another seed** of the same network, shown these examples: {said} answers stay right."]


def _steps_too_short(record: Record) -> list[str]:
    """What follows when an attack without a random start can't reach the edge of its ball."""
    parameters = record.runs[0]["parameters"]
    if parameters["random_start"] or parameters["step_size"].startswith("eps"):
        return []
    steps, reach = min(parameters["steps"]), min(parameters["steps"]) * radius(parameters["step_size"])
    beyond = [eps for eps in parameters["eps"] if radius(eps) > reach]
    if len(beyond) < 2:
        return []
    return [
        f"**Too few steps**: from the image itself, {steps} steps of {parameters['step_size']} reach no further than "
        f"{steps} x {parameters['step_size']}, so {steps} steps are one and the same attack at {', '.join(beyond)}. In "
        "the paper's table 1 the accuracy at 7 steps falls with the radius, so its step was longer or its start random."
    ]


def _others(record: Record) -> str:
    """Table 2 at its hardest."""
    table = record.frame("table2")
    rows = _hardest(table[table.metric == "adversarial_accuracy"], "white_box")
    said = ", ".join(f"{name} {spread(rows, name)}" for name in dict.fromkeys(rows.variant))
    return f"**Other methods**, the same attack as under white box: {said}."


def _deepfool(record: Record) -> str:
    white = _searched(record, "table3", "deepfool")
    rho, success = white[white.metric == "rho"], white[white.metric == "success_rate"]
    black = _searched(record, "table3", "deepfool", "black_box")
    black = black[black.metric == "rho"]
    transferred = (
        f" With N-LR's gradients, until the LR network is fooled, it takes {_mean(black, '1-LR')} and "
        f"{_mean(black, '2-LR')}; the paper's LR networks took more with their own gradients than with N-LR's."
    )
    return (
        f"**DeepFool** changes an image by ρ = {_mean(rho, 'N-LR')} of its norm for N-LR, {_mean(rho, '1-LR')} for "
        f"1-LR and {_mean(rho, '2-LR')} for 2-LR, and fools the network on {percent(success.value.mean())} of images. "
        + compare(rho, "ρ")
        + (transferred if len(black) else "")
    )


def _smallest(record: Record) -> str:
    """Table 10's radii, and those that were not found."""
    rows = _searched(record, "table10", "pgd")
    found, eps = rows[rows.metric == "found"], rows[rows.metric == "eps_min"]
    parts = []
    for name in VARIANTS:
        times, of = int(found[found.variant == name].value.sum()), int((found.variant == name).sum())
        radii = f"{eps[eps.variant == name].value.mean():.3g}" if times else "not found"
        parts.append(f"{radii} for {name}" + (f" ({times} of {of} seeds)" if 0 < times < of else ""))
    return (
        "**99 % wrong**: the smallest radius at which PGD, stopped once it fools, gets there is "
        f"{', '.join(parts)}, in {unit(record.runs[0]['parameters']['unit'])}."
    )


def _ladder(record: Record) -> str:
    """The size of a perturbation at which half of the answers are wrong, as the paper compares it."""
    frame = record.frame("figure4a")
    mean = over_seeds(frame[frame.attack == "pgd"], ["variant", "eps", "metric"])
    table = mean.pivot(index=["variant", "eps"], columns="metric", values="value").reset_index()
    parts = []
    for name in dict.fromkeys(table.variant[::-1]):
        own = table[table.variant == name].sort_values("rho")
        above = own[own.adversarial_accuracy > 0.5]
        below = own[own.adversarial_accuracy <= 0.5]
        low = f"{above.rho.max():.2g}" if len(above) else "0"
        parts.append(f"{name} {low} to {below.rho.min():.2g}" if len(below) else f"{name} more than {low}")
    return (
        "**Half of the answers** are wrong at a perturbation of relative size ρ between these two steps of figure 4a: "
        f"{'; '.join(parts)}. The paper says that LR models need about twice as much as N-LR and Bottle-LR."
    )


def _path(record: Record) -> str:
    """How far the last step's accuracy is above the cumulative one."""
    frame = record.frame("figure11b")
    last = over_seeds(frame[frame.step == frame.step.max()], ["metric"]).set_index("metric").value
    now, ever = last["instantaneous_accuracy"], last["cumulative_accuracy"]
    return (
        f"**On the way**: after {int(frame.step.max())} steps of PGD, {percent(now)} of 1-LR's answers are the ones "
        f"before the attack, and {percent(ever)} never were others. Images that are fooled and then right again make "
        "the difference, which the paper found to be large."
    )


def _searched(record: Record, artefact: str, attack: str, setting: str = "white_box") -> pd.DataFrame:
    frame = record.frame(artefact)
    return frame[(frame.attack == attack) & (frame.setting == setting)]


def _mean(rows: pd.DataFrame, variant: str) -> str:
    return f"{rows[rows.variant == variant].value.mean():.3f}"
