"""Appendix A's checks against SVD, what the figures of other networks are called, and their tables and sentences."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lrlib import metrics, models, paper, plots, results, sections, spectra
from lrlib.prose import effective_rank as prose
from lrlib.sections import appendix_a, effective_rank
from lrlib.tables import sections as section_tables

VARIANTS = ("N-LR", "1-LR", "2-LR")
Parameters = effective_rank.Parameters


def one(arch, size=32):
    model = models.build(arch, classes=3, width=4, size=size).eval()
    return SimpleNamespace(model=model, spec=SimpleNamespace(arch=arch))


def test_the_papers_example_has_rank_one_before_a_relu_and_two_behind_it():
    A = np.array([[1, -1, 1], [-1, 1, -1]])
    assert np.array_equal(np.array(appendix_a.COUNTEREXAMPLE), A)
    assert np.linalg.matrix_rank(A) == 1 and np.linalg.matrix_rank(np.maximum(A, 0)) == 2
    first, *others = appendix_a.relu_ranks()
    assert (first["rank"], first["rank after the ReLU"]) == (1, 2)
    outer = others[0]  # u v^T has the two parts (u+)(v+)^T and (u-)(v-)^T
    assert (outer["rank"], outer["rank after the ReLU"]) == (1, 2)
    assert [row["rank"] for row in others] == [1, 2, 3, 5, 10]
    assert others[-1]["rank after the ReLU"] == 100


@pytest.mark.parametrize("shape", [(12, 30), (30, 12)])
def test_truncated_is_the_best_approximation_of_its_rank(shape):
    A = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    U, s, V = torch.linalg.svd(A, full_matrices=False)
    torch.testing.assert_close(appendix_a.truncated(A, 4), U[:, :4] * s[:4] @ V[:4])


@pytest.mark.parametrize("arch", models.PLACED)
def test_pre_activations_are_what_the_relu_before_the_tap_is_put_on(arch):
    network, x = one(arch), torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = appendix_a.before_relu(network, x)
    tap = models.places(arch)[0 if arch == "vgg19" else 1]
    assert (before < 0).any()
    torch.testing.assert_close(before.relu(), metrics.features(network.model, x, tap))


@pytest.mark.parametrize(
    ("preset", "arch", "dataset", "names"),
    [
        ("paper", "resnet18", "cifar10", (("figure2a",), ("figure2a",), ("figure2b",))),
        ("paper", "resnet50", "cifar100-fine", (("figure2a",), ("figure2a",), ("figure2b",))),
        ("paper", "vgg19", "cifar10", (("table7a",), ("figure5",), ("figure5",))),
        ("paper", "vgg19", "svhn", (("table7b",), ("figure5",), ("figure5",))),
        ("paper", "resnet18", "svhn", (("table7b",), ("figure6b",), ("figure6a",))),
        ("small", "resnet18", "cifar10", (("figure2a", "table7b"), ("figure2a", "figure6b"), ("figure2b", "figure6a"))),
        ("quick", "resnet18", "digits", (("figure2a", "table7b"), ("figure2a", "figure6b"), ("figure2b", "figure6a"))),
        ("small", "resnet18", "mnist", (("figure2a",), ("figure2a",), ("figure2b",))),
    ],
)
def test_rows_are_called_by_the_papers_figures_of_their_network(preset, arch, dataset, names):
    found = effective_rank.names(Parameters.of(preset, arch=arch, dataset=dataset))
    assert (found.accuracy, found.last, found.early) == names
    assert set(found.accuracy + found.last + found.early) <= set(paper.artefacts().artefact)


def test_the_bottleneck_is_trained_on_svhn_and_the_pruned_one_for_the_presets_own_network():
    def trained(**given):
        return {spec.variant for spec in effective_rank.specs(Parameters.of("paper", **given))} - set(VARIANTS)

    assert trained() == {"SNIP"} and trained(seeds=[1]) == set()
    assert trained(dataset="svhn") == {"Bottle-2LR"} and trained(dataset="svhn", arch="vgg19") == set()
    assert trained(arch="vgg19") == set()


def test_every_wide_tap_of_the_paper_is_measured_with_a_stated_error(tiny, monkeypatch):
    """A sketch in the place of the Gram matrix tells almost the same, and never more than it states."""
    given = {"seeds": [0], "examples": 60, "directions": 10, "rank": 4}
    exact = effective_rank.measure(Parameters.of("quick", **given), progress=False)
    monkeypatch.setattr(spectra, "WIDEST_EXACT", 40)
    monkeypatch.setattr(spectra, "_SKETCH_NUMBERS", 64 * 24)
    sketched = effective_rank.measure(Parameters.of("quick", **given), progress=False)

    def ratios(record, artefact):
        frame = record.frame(artefact)
        return frame[frame.metric == "variance_ratio"].set_index(["variant", "k"])

    whole, part = ratios(exact, "figure2b"), ratios(sketched, "figure2b")
    gap = whole.value - part.value
    assert set(part["columns"]) == {24} and (gap >= -2e-6).all() and (gap <= part.error + 2e-6).all()
    assert "columns" not in ratios(sketched, "figure2a") and "columns" not in whole
    assert prose.findings(sketched)[-1].startswith("**Sketched spectra**: the representations at layer3 are too wide")
    assert "24 random directions" in prose.findings(sketched)[-1]
    assert not any("Sketched" in sentence for sentence in prose.findings(exact))


def test_shares_of_a_class_are_those_of_its_images_alone(measured, tiny):
    frame = measured["effective_rank"].frame("figure7a")
    parameters = Parameters.of("quick", seeds=[0], examples=40, directions=10, rank=4)
    bench = effective_rank.Bench("effective_rank", parameters, device="cpu", dataset="digits", progress=False)
    model = bench.trained(parameters.spec("N-LR", 0)).model
    own = frame[(frame.variant == "N-LR") & (frame.seed == 0)].set_index("label")
    for label, name in enumerate(bench.dataset.classes):
        a = metrics.features(model, bench.x[bench.y == label], "avgpool").double()
        expected = torch.linalg.svdvals(a).square()
        assert own.value[name] == pytest.approx((expected[0] / expected.sum()).item(), rel=1e-5)
        assert own.n[name] == int((bench.y == label).sum())
    classes = own.drop("all").value
    assert len(classes) == 10 and own.value["all"] == pytest.approx(classes.mean(), rel=1e-5)


def test_zeros_are_counted_where_they_are(measured, tiny):
    frame = measured["effective_rank"].frame("appendix_sparsity")
    zeros = frame[frame.metric == "zeros"].set_index(["variant", "seed", "tap"]).value
    assert zeros["SNIP", 0, "weights"] == pytest.approx(0.7, abs=0.001) and zeros["N-LR", 0, "weights"] < 0.001
    parameters = Parameters.of("quick", seeds=[0], examples=40, directions=10, rank=4)
    bench = effective_rank.Bench("effective_rank", parameters, device="cpu", dataset="digits", progress=False)
    a = metrics.features(bench.trained(parameters.spec("1-LR", 0)).model, bench.x, "layer3")
    assert zeros["1-LR", 0, "layer3"] == pytest.approx((a == 0).double().mean().item(), rel=1e-5)
    s = torch.linalg.svdvals(a.double()).square().cumsum(0)
    needed = frame[(frame.metric == "directions") & (frame.variant == "1-LR") & (frame.tap == "layer3")]
    assert needed.set_index("seed").value[0] == int((s / s[-1] < 0.99).sum()) + 1


def test_cut_pre_activations_have_that_rank_and_more_behind_the_relu(measured):
    frame = measured["effective_rank"].frame("appendix_preactivations")
    rank = frame[frame.metric == "rank"].set_index(["seed", "side"]).value.unstack()
    assert (rank.before == 4).all() and (rank.after > 4).all()
    ratio = frame[frame.metric == "variance_ratio"].set_index(["seed", "side"]).value.unstack()
    assert (ratio.before == 1).all() and (ratio.after < 1).all()


# Tables, figures and sentences


def test_tables_show_the_papers_cells_and_ours(measured):
    records = {"this run": measured["effective_rank"]}
    table = section_tables.beside("table7b", records, keys=["arch", "variant"], metric="accuracy")
    assert table.loc[("vgg19", "2-LR"), "paper"] == "97.8" and table.loc[("vgg19", "2-LR"), "this run"] == ""
    assert "±" in table.loc[("resnet18", "1-LR"), "this run"]
    alone = section_tables.beside("table7a", records, keys=["arch", "variant"], metric="accuracy")
    assert list(alone.columns) == ["paper"] and len(alone) == 2
    assert section_tables.pre_activations(records).loc["pre-activations, cut: rank", "this run"] == "4"
    sparsity = section_tables.sparsity(records)
    assert sparsity.loc[("SNIP", "weights"), ("this run", "zeros, %")] == "70.0"
    assert section_tables.sparsity({}).empty and section_tables.pre_activations({}).empty


def test_figures_of_networks_that_were_not_measured_are_left_out(measured):
    record = measured["effective_rank"]
    with pytest.raises(results.RecordError, match="expected rows of figure5"):
        plots.variance_ratio(record, [("figure5", "first", "avgpool")])
    left, right = plots.variance_ratio(record, [("figure6a", "a"), ("figure6b", "b")]).axes
    assert {line.get_label() for line in left.get_lines()} == set(VARIANTS) and right.get_title() == "b"


def test_panels_of_one_artefact_are_told_apart_by_tap(row, record_of):
    rows = [
        row("figure5", "variance_ratio", value, k=k, tap=tap)
        for tap, value in (("avgpool", 0.5), ("classifier.4", 0.9))
        for k in (1, 2)
    ]
    panels = [("figure5", "first", "avgpool"), ("figure5", "third", "classifier.4")]
    axes = plots.variance_ratio(record_of(rows), panels).axes
    assert [ax.get_lines()[0].get_ydata().tolist() for ax in axes] == [[0.5, 0.5], [0.9, 0.9]]


def test_classes_are_drawn_one_by_one_without_their_mean(row, record_of):
    rows = [
        row("figure7a", "variance_ratio", value, variant=variant, label=label)
        for variant in ("N-LR", "1-LR")
        for label, value in (("cat", 0.5), ("dog", 0.7), ("all", 0.6))
    ]
    (ax,) = plots.by_class(record_of(rows), [("figure7a", "(a)")], mean="all").axes
    assert [text.get_text() for text in ax.get_xticklabels()] == ["cat", "dog"]
    assert [line.get_ydata().tolist() for line in ax.get_lines()] == [[0.5, 0.7]] * 2


def test_a_record_of_vgg19_and_of_svhn_makes_sentences_too(measured):
    record = measured["effective_rank"]
    rows = [row for row in record.rows if row["artefact"] not in ("figure6a", "figure6b", "table7b")]
    for called in ({"figure2a": "figure5", "figure2b": "figure5"}, {"figure2a": "figure6b", "figure2b": "figure6a"}):
        renamed = [row | {"artefact": called.get(row["artefact"], row["artefact"])} for row in rows]
        assert prose.findings(replace(record, rows=renamed))[:3] == prose.findings(record)[:3]


def test_the_claim_quotes_tables_7a_and_7b():
    for table, arch in (("table7a", "vgg19"), ("table7b", "resnet18")):
        cells = paper.table(table)
        for row in cells[cells.arch == arch].itertuples():
            assert f"{row.variant} {row.printed} %" in prose.claim()


def test_a_class_without_an_example_is_named(tiny):
    with pytest.raises(
        ValueError, match=r"^expected an example of each class of digits among the first 10 test images"
    ):
        parameters = Parameters.of("quick", seeds=[0], examples=10, directions=10, rank=4)
        sections.get("effective_rank").measure(parameters, progress=False)
