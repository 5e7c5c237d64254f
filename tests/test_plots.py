"""Figures draw the rows' numbers."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex

from lrlib import plots, results
from lrlib.packing import pack_image
from lrlib.results import Record

VARIANTS = ("N-LR", "1-LR", "2-LR")


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def points(line):
    return [(pytest.approx(x), pytest.approx(y)) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]


@pytest.fixture
def table1(row, record_of):
    rows = [
        row(
            "table1",
            "adversarial_accuracy",
            0.5 - 0.01 * k + 0.1 * i + 0.02 * seed,
            variant=variant,
            seed=seed,
            setting=setting,
            attack="pgd",
            eps=eps,
            steps=steps,
        )
        for setting in ("black_box", "white_box")
        for steps in (20, 7)
        for k, eps in enumerate(("16/255", "0.04", "8/510"))
        for i, variant in enumerate(VARIANTS)
        for seed in (0, 1)
        if (setting, variant) != ("black_box", "N-LR")
    ]
    return record_of(rows)


def test_a_panel_for_each_setting_and_number_of_steps_white_box_first(table1):
    axes = plots.attacked(table1).axes
    assert [ax.get_title() for ax in axes] == [
        "white box, 7 steps",
        "white box, 20 steps",
        "black box, 7 steps",
        "black box, 20 steps",
    ]
    assert set(lines(axes[0])) == set(VARIANTS) and set(lines(axes[2])) == {"1-LR", "2-LR"}


def test_radii_are_drawn_in_255ths_however_they_are_written(table1):
    line = lines(plots.attacked(table1).axes[0])["1-LR"]
    assert points(line) == [(4, 0.59), (255 * 0.04, 0.60), (16, 0.61)]


def test_bands_are_the_interval_over_seeds(row, record_of):
    values = {0: 0.4, 1: 0.5, 2: 0.6}
    rows = [row("table4", "noise_accuracy", v, seed=s, probability=p) for s, v in values.items() for p in (0.4, 1.0)]
    (ax,) = plots.noise(record_of(rows)).axes
    assert points(lines(ax)["N-LR"]) == [(0.4, 0.5), (1.0, 0.5)]
    (band,) = ax.collections
    vertices = band.get_paths()[0].vertices
    half = 0.95 * np.sqrt(2 / 0.0975) * 0.1 / np.sqrt(3)  # Student's quantile for 2 degrees of freedom, closed form
    assert (vertices[:, 1].min(), vertices[:, 1].max()) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))


def test_variance_ratios_are_drawn_artefact_by_artefact(row, record_of):
    rows = [
        row(artefact, "variance_ratio", 0.1 * k * (1 if artefact == "figure2a" else 0.5), variant=variant, k=k, tap="t")
        for artefact in ("figure2a", "figure2b")
        for variant in VARIANTS
        for k in (1, 2, 3)
    ] + [row("figure2a", "accuracy", 0.9, variant=variant, k=0, tap="") for variant in VARIANTS]
    figure = plots.variance_ratio(record_of(rows), [("figure2a", "left"), ("figure2b", "right")])
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("left", "right")
    assert points(lines(left)["2-LR"]) == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert points(lines(right)["2-LR"]) == [(1, 0.05), (2, 0.1), (3, 0.15)]


def test_propagation_is_drawn_against_the_change_of_the_input(row, record_of):
    rows = [
        row(
            "figure4b", metric, value * (1 + seed), seed=seed, eps=eps, tap="avgpool", setting="white_box", attack="pgd"
        )
        for seed in (0, 1)
        for eps, ratios in {"8/255": (0.2, 0.4), "2/255": (0.02, 0.1)}.items()
        for metric, value in zip(("input_ratio", "representation_ratio"), ratios, strict=True)
    ]
    (ax,) = plots.propagation(record_of(rows)).axes
    assert points(lines(ax)["N-LR"]) == [(0.03, 0.15), (0.3, 0.6)]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_what_is_shown_to_another_network_has_a_panel_of_its_own(row, record_of):
    rows = [
        row("figure4b", metric, value, variant=variant, eps=eps, setting=setting)
        for setting, variant in (("white_box", "N-LR"), ("black_box", "1-LR"))
        for eps, size in (("2/255", 0.1), ("8/255", 0.2))
        for metric, value in (("input_ratio", size), ("representation_ratio", 3 * size))
    ]
    white, black = plots.propagation(record_of(rows)).axes
    assert (white.get_title(), black.get_title()) == ("white box", "black box: made on N-LR")
    assert set(lines(white)) == {"N-LR"} and points(lines(black)["1-LR"]) == [(0.1, 0.3), (0.2, 0.6)]


def test_noise_has_a_panel_for_each_reading(row, record_of):
    rows = [
        row(artefact, "noise_accuracy", value, probability=p)
        for artefact, value in (("table4", 0.5), ("table4_other_reading", 0.3))
        for p in (0.4, 1.0)
    ]
    left, right = plots.noise(record_of(rows, moment="variance")).axes
    assert (left.get_title(), right.get_title()) == ("level as variance", "level as standard deviation")
    assert points(lines(left)["N-LR"]) == [(0.4, 0.5), (1.0, 0.5)]
    assert points(lines(right)["N-LR"]) == [(0.4, 0.3), (1.0, 0.3)]


def test_the_cushions_of_all_blocks_are_drawn_layer_by_layer(row, record_of):
    taps = [f"layer{b}.{i}.conv{j}" for b in (1, 2, 3, 4) for i in (0, 1) for j in (1, 2)]
    rows = [
        row(f"figure{11 + int(tap[5])}", "layer_cushion", place + q, variant="random", tap=tap, quantile=q)
        for place, tap in enumerate(taps)
        for q in (0.0, 0.5, 1.0)
    ]
    rows += [row("figure12", "block_cushion", 9.0, variant="random", tap="layer1", quantile=0.5)]
    axes = plots.block_cushions(record_of(rows)).axes
    assert [ax.get_title() for ax in axes] == taps
    assert points(lines(axes[5])["random"]) == [(5, 0.0), (5.5, 0.5), (6, 1.0)]
    other = record_of([row("figure4c", "layer_cushion", 0.1, tap="fc", quantile=0.5) | {"arch": "vgg19"}])
    with pytest.raises(results.RecordError, match="expected layer cushions of all blocks"):
        plots.block_cushions(other)


def test_the_cushion_is_drawn_as_a_distribution_with_the_random_network(row, record_of):
    rows = [
        row("figure4c", "layer_cushion", 0.2 * q + 0.1 * seed, variant=variant, seed=seed, tap=tap, quantile=q)
        for variant in (*VARIANTS, "random")
        for tap in ("layer3.1.conv2", "fc")
        for q in (0.0, 0.5, 1.0)
        for seed in (0, 1)
    ]
    axes = plots.cushion(record_of(rows)).axes
    assert [ax.get_title() for ax in axes] == ["layer3.1.conv2", "fc"]
    assert points(lines(axes[1])["random"]) == [(0.05, 0.0), (0.15, 0.5), (0.25, 1.0)]


def test_compression_is_drawn_against_the_dimensions(row, record_of):
    rows = [row("table5a", "max_margin_accuracy", d / 256, variant="1-LR", tap="avgpool", dim=d) for d in (128, 5)]
    (ax,) = plots.compression(record_of(rows), [("table5a", "(a)")]).axes
    assert points(lines(ax)["1-LR"]) == [(5, 5 / 256), (128, 0.5)]


def test_the_gallery_shows_original_and_changed_image_with_their_predictions(row, record_of):
    original, changed = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    rows = [
        row("figure10", "rho", 0.25, variant=variant, example=example, label=3, predicted=3, predicted_adv=8)
        | {"image": pack_image(original), "image_adv": pack_image(changed)}
        for variant in ("N-LR", "1-LR")
        for example in (0, 1)
    ]
    axes = np.array(plots.gallery(record_of(rows)).axes).reshape(4, 2)
    assert [ax.get_title() for ax in axes[:2, 0]] == ["3", "8, ρ 0.25"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == [
        "N-LR\noriginal",
        "N-LR\nDeepFool",
        "1-LR\noriginal",
        "1-LR\nDeepFool",
    ]
    assert (axes[2, 1].get_images()[0].get_array() == 0).all()
    assert (axes[3, 1].get_images()[0].get_array() == 255).all()


def test_a_variant_has_one_colour_and_one_marker_in_every_figure(table1, row, record_of):
    noise = [row("table4", "noise_accuracy", 0.5, variant=v, probability=p) for v in VARIANTS for p in (0.4, 1.0)]
    for figure in (plots.attacked(table1), plots.noise(record_of(noise))):
        for ax in figure.axes:
            for name, line in lines(ax).items():
                assert to_hex(line.get_color()) == to_hex(plots.COLOURS[name])
                assert line.get_marker() == plots.MARKERS[name]
    assert len({to_hex(colour) for colour in plots.COLOURS.values()}) == len(plots.COLOURS)
    assert len(set(plots.MARKERS.values())) == len(plots.MARKERS)


def test_every_figure_says_preset_dataset_and_number_of_seeds(table1):
    assert plots.attacked(table1)._supxlabel.get_text() == (
        "preset quick · digits · 2 seeds · bands: 95 % interval over seeds"
    )


def test_a_figure_says_that_the_schedules_were_shortened(row, record_of):
    record = record_of([row("table4", "noise_accuracy", 0.5, probability=p) for p in (0.4, 1.0)])
    record.runs[0]["shortened"] = {"epochs": 6, "of": 24}
    assert plots.noise(record)._supxlabel.get_text() == "preset quick · digits · 1 seed · 6 of 24 epochs"


def test_only_the_outermost_panels_have_a_label_and_the_first_a_legend(table1):
    first, second, third, fourth = plots.attacked(table1).axes  # two rows of two
    assert first.get_ylabel() == third.get_ylabel() == "accuracy" and first.get_legend() is not None
    assert second.get_ylabel() == fourth.get_ylabel() == ""
    assert all(ax.get_legend() is None for ax in (second, third, fourth))


def test_a_single_seed_is_drawn_without_a_band(row, record_of):
    rows = [row("table4", "noise_accuracy", 0.5, probability=p) for p in (0.4, 1.0)]
    (ax,) = plots.noise(record_of(rows)).axes
    assert points(lines(ax)["N-LR"]) == [(0.4, 0.5), (1.0, 0.5)]
    assert not any(band.get_paths() for band in ax.collections)
    assert ax.figure._supxlabel.get_text() == "preset quick · digits · 1 seed"


def test_the_committed_records_are_drawn_without_a_warning():
    load = {page: results.load(results.path(page, "quick")) for page in ("adversarial", "noise_stability")}
    for figure in (
        plots.attacked(load["adversarial"]),
        plots.gallery(load["adversarial"]),
        plots.noise(load["noise_stability"]),
        plots.propagation(load["noise_stability"]),
        plots.cushion(load["noise_stability"]),
        plots.block_cushions(load["noise_stability"]),
    ):
        figure.canvas.draw()
        plt.close(figure)


def test_records_without_the_rows_of_a_figure_are_left_out_and_the_largest_preset_comes_first(table1, row, record_of):
    small = Record("adversarial", "small", table1.runs, table1.rows)
    other = Record("adversarial", "paper", table1.runs, [{**row("table3", "rho", 1.0), "run": table1.runs[0]["id"]}])
    figures = plots.of_each(plots.attacked, {"this run": table1, "small record": small, "paper record": other})
    assert [figure._supxlabel.get_text().split(" · ")[0] for figure in figures] == ["preset small", "preset quick"]
    plt.close("all")
    assert plots.of_each(plots.path, {"this run": table1}) == [] and not plt.get_fignums()


def test_where_no_record_has_the_rows_that_is_said(row, record_of, capsys):
    records = {"small record": record_of([row("table1", "accuracy", 0.5)], preset="small")}
    draw = lambda record: plots.variance_ratio(record, [("figure5", "first")])  # noqa: E731
    assert plots.of_each(draw, records) == [] and plots.of_each(draw, {}) == []
    first, second = capsys.readouterr().out.splitlines()
    assert first == "Nothing to draw: these rows were not measured in small record."
    assert second == "Nothing to draw: these rows were not measured in any record."


def test_a_record_without_the_scale_is_left_out_of_the_truncations(row, record_of):
    rows = [
        row("report_figure7", "test_accuracy", 0.9, arch="1L", scale=0.1, fraction=f, attack="", made="")
        for f in (0.0, 1.0)
    ]
    records = {"this run": record_of(rows)}
    assert len(plots.of_each(lambda record: plots.truncation(record, scale=0.1), records)) == 1
    assert plots.of_each(lambda record: plots.truncation(record, scale=0.5), records) == []


def test_tables_are_shown_whole():
    with (
        pd.option_context("display.max_rows", 5, "display.max_colwidth", 5, "display.max_columns", 5),
        plt.rc_context(),
    ):
        plots.use_style()
        shown = pd.DataFrame({f"column {i}": ["a long sentence"] * 200 for i in range(30)}).to_html(notebook=True)
    assert shown.count("<tr") == 201 and shown.count("a long sentence") == 200 * 30
