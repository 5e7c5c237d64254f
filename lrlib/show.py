"""Commands that print what is committed: records and verdicts."""

from __future__ import annotations

import click

from lrlib import claims as of_the_paper
from lrlib import drift, presets, scoreboard, sections
from lrlib import results as records

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
@PRESET
@click.option("--csv", is_flag=True, help="print comma-separated values")
def claims(preset: str, csv: bool) -> None:
    """Show every claim, the paper's number, ours at a preset, and both verdicts."""
    presets.get(preset)
    table = scoreboard.table({preset: of_the_paper.records().get(preset, {})})
    if csv:
        click.echo(table.to_csv(index_label="id").rstrip("\n"))
        return
    for name, row in table.iterrows():
        verdict, strong = row[f"{preset}, as published"], row[f"{preset}, strong attacks"]
        about = ", ".join(part for part in (row[preset], row[f"{preset}, sources"]) if part)
        ours = f", ours {about}" if about else ""
        click.echo(f"{name}: {row['claim']} ({row['where']}; printed: {row['printed']}{ours}; needed {row['needed']})")
        click.echo(f"  {verdict}{f'; under strong attacks {strong}' if strong else ''}")
