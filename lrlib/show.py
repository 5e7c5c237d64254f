"""Commands that print what is committed: records and verdicts."""

from __future__ import annotations

import click

from lrlib import claims as of_the_paper
from lrlib import drift, presets, scoreboard, sections
from lrlib import results as records
from lrlib.claims.predicates import UNMEASURED

PRESET = click.option("--preset", default="quick", show_default=True, help="quick, small or paper")


@click.command("results")
@click.argument("page", required=False)
@PRESET
@click.option("--csv", is_flag=True, help="print the rows as comma-separated values")
def results(page: str | None, preset: str, csv: bool) -> None:
    """Show the committed records, or the rows of one PAGE."""
    presets.get(preset)
    if page is None:
        for name in (*sections.PAGES, *sections.STANDING):
            for found, record in records.committed(name).items():
                older = drift.remark(record)
                about = f"{len(record.rows)} rows, started {record.runs[0]['started']}"
                click.echo(f"{name} at {found}: {about}{f', {older}' if older else ''}")
        return
    sections.get(page)
    record = records.load(records.path(page, preset))
    frame = record.frame().drop(columns=["survived", "image", "image_adv"], errors="ignore").convert_dtypes()
    click.echo(frame.to_csv(index=False).rstrip("\n") if csv else frame.to_string(index=False, na_rep=""))


@click.command("claims")
@click.option("--preset", help="quick, small or paper; each at which some claim was measured unless given")
@click.option("--csv", is_flag=True, help="print comma-separated values")
def claims(preset: str | None, csv: bool) -> None:
    """Show every claim, the paper's number, ours, both verdicts, and the place in the book that shows them."""
    if preset is not None:
        presets.get(preset)
    measured = of_the_paper.records()
    asked = [preset] if preset else list(measured)
    table = scoreboard.table({name: measured.get(name, {}) for name in asked})
    if csv:
        click.echo(table.to_csv(index_label="id").rstrip("\n"))
        return
    shown = [name for name in asked if preset or (table[f"{name}, as published"] != UNMEASURED).any()]
    for name, row in table.iterrows():
        click.echo(f"{name}: {row['claim']} ({row['where']}; printed: {row['printed']}; needed {row['needed']})")
        for one in shown:
            strong = row[f"{one}, strong attacks"]
            ours = ", ".join(part for part in (row[one], row[f"{one}, sources"]) if part)
            verdict = f"{row[f'{one}, as published']}{f'; under strong attacks {strong}' if strong else ''}"
            click.echo(f"  {one}: {f'{ours}: ' if ours else ''}{verdict}")
        click.echo(f"  {row['place']}")
