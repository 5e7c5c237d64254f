"""What it costs, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lrlib.results import Record


def findings(records: Mapping[str, Record]) -> list[str]:
    """The ratios that matter, preset by preset."""
    return [f"`{preset}`, {line}" for preset, record in records.items() for line in _findings(record)]


def _findings(record: Record) -> list[str]:
    lines = []
    for (device, m), rows in record.frame("layer").groupby(["device", "m"], sort=False):
        table = rows.pivot(index="alternative", columns="metric", values="value")
        ratio = table.loc["factored"] / table.loc["dense"]
        lines.append(
            f"{device}: with {m} activations the factored layer takes {ratio.seconds:.3f} of the dense one's time and "
            f"{ratio.bytes:.3f} of its memory."
        )
    for (device, width), rows in record.frame("step").groupby(["device", "width"], sort=False):
        seconds = rows.set_index("alternative").value
        added = 100 * (seconds["2-LR"] / seconds["N-LR"] - 1)
        lines.append(f"{device}: at width {width} the LR layers of 2-LR add {added:.0f} % to a training step.")
    for (device, m), rows in record.frame("projection").groupby(["device", "m"], sort=False):
        lines.append(f"{device}: {_projections(int(m), rows)}")
    for (device, width), rows in record.frame("precision").groupby(["device", "width"], sort=False):
        seconds = rows.set_index("alternative").value
        (fast,) = set(seconds.index) - {"plain fp32"}
        lines.append(
            f"{device}: at width {width} a training step in {fast} is {seconds['plain fp32'] / seconds[fast]:.1f} "
            "times as fast as in plain fp32."
        )
    return [*lines, *_attacks(record), *_spectra(record)]


def _attacks(record: Record) -> list[str]:
    """How much faster our attacks are than foolbox's, and whether they find the same."""
    frame, lines = record.frame(), []
    for artefact, what in (("pgd", "PGD with 20 steps"), ("deepfool", "DeepFool")):
        for (device, width), rows in frame[frame.artefact == artefact].groupby(["device", "width"], sort=False):
            table = rows.pivot(index="alternative", columns="metric", values="value")
            peer = table.loc["foolbox"]
            said = ", ".join(
                f"{peer.seconds / own.seconds:.1f} times as fast as foolbox{'' if name == 'ours' else f' in {name}'} "
                f"(fooled {100 * own.success_rate:.0f} against {100 * peer.success_rate:.0f} %, "
                f"ρ {own.rho:.4f} against {peer.rho:.4f})"
                for name, own in table.drop("foolbox").iterrows()
            )
            lines.append(f"{device}: at width {width:.0f} {what} is {said}.")
    return lines


def _spectra(record: Record) -> list[str]:
    """How much faster streamed spectra are than a dense decomposition, with how much memory, and how close."""
    frame, lines = record.frame(), []
    for (device, n, m), rows in frame[frame.artefact == "spectrum"].groupby(["device", "batch", "m"], sort=False):
        table = rows.pivot(index="alternative", columns="metric", values="value")
        dense = table.loc["svdvals"]
        said = [
            f"{what} {dense.seconds / own.seconds:.1f} times as fast as torch.linalg.svdvals with "
            f"{own.bytes / dense.bytes:.2f} times its memory, at most {own.error:.1g} off"
            for what, own in (
                ("by way of the Gram matrix all singular values are", table.loc["gram"]),
                ("the leading ones of a sketch are", table.loc["sketch"]),
            )
        ]
        lines.append(f"{device}: of {n:.0f} x {m:.0f} activations {'; '.join(said)}.")
    streamed = frame[frame.artefact == "streamed_spectrum"]
    for (device, n, m), rows in streamed.groupby(["device", "batch", "m"], sort=False):
        own = rows.set_index("metric").value
        lines.append(
            f"{device}: the spectrum of {n:.0f} x {m:.0f} activations, which are never all in memory, is sketched in "
            f"{own.seconds:.0f} s and {own.bytes / 2**30:.1f} GiB, the variance ratio at ten directions at most "
            f"{own.error:.1g} too small."
        )
    return lines


def _projections(m: int, rows: pd.DataFrame) -> str:
    table = rows.pivot(index="alternative", columns="metric", values="value")
    best = table.error.min()
    accurate = table[table.error <= 1.05 * best]
    name = accurate.seconds.idxmin()
    others = ", ".join(
        f"{other} is {table.seconds['eigh'] / table.seconds[other]:.1f} times as fast, with "
        f"{table.error[other] / best:.2f} times that error"
        for other in ("nystrom", "ensemble")
    )
    return (
        f"at m = {m} the fastest projection within 5 % of the least error is {name}, "
        f"{table.seconds['eigh'] / table.seconds[name]:.1f} times as fast as eigh; {others}."
    )
