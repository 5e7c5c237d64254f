"""The book's sentences say what the rows say."""

import re

import pytest

from lrlib import paper, plots, presets, results, sections
from lrlib.prose import (
    adversarial,
    compression,
    controls,
    effective_rank,
    latent_space,
    lr_layer,
    noise_stability,
    svd_truncation,
    training,
)
from lrlib.prose.format import compare, percent, spread

MODULES = (
    *(adversarial, compression, controls, effective_rank, latent_space, lr_layer, noise_stability, svd_truncation),
    training,
)
PROSE = {module.__name__.rpartition(".")[2]: module for module in MODULES}
COMMITTED = [(page, preset) for page in sections.PAGES for preset in results.committed(page)]
VARIANTS = ("N-LR", "1-LR", "2-LR")


@pytest.fixture
def frame(row, record_of):
    def make(values):
        rows = [
            row("figure2a", "accuracy", value, variant=variant, seed=seed)
            for variant, own in values.items()
            for seed, value in enumerate(own)
        ]
        return record_of(rows).frame()

    return make


def test_the_unit_of_each_records_radii_is_said(row, record_of):
    records = {
        "small record": record_of([row("table1", "rho", 0.1)]),
        "this run": record_of([row("table1", "rho", 0.1)]),
    }
    for record, unit in zip(records.values(), ("normalized", "pixel"), strict=True):
        record.runs[0]["parameters"]["unit"] = unit
    assert adversarial.units(records) == (
        "The unit of the radii: small record, pixels divided by the dataset's standard deviation; "
        "this run, pixels in [0, 1]; the paper does not state its own."
    )


def test_a_mean_has_its_interval_and_number_of_seeds(frame):
    # Half of Student's interval of two values is tan(0.475 pi) times half their distance.
    assert spread(frame({"N-LR": [0.50, 0.52]}), "N-LR") == "51.0 % (±12.7, 2 seeds)"
    assert spread(frame({"N-LR": [0.987654]}), "N-LR", digits=2) == "98.77 % (one seed)"
    assert percent(0.5, 0) == "50 %"


@pytest.mark.parametrize(("ours", "above", "below"), [([0.6, 0.7], 2, 0), ([0.6, 0.5], 1, 1), ([0.5, 0.6], 0, 0)])
def test_seeds_are_compared_pair_by_pair_and_a_tie_is_neither_above_nor_below(frame, ours, above, below):
    rows = frame({"N-LR": [0.5, 0.6], "1-LR": ours, "2-LR": [0.9, 0.1]})
    counted = f"The ratio is above that of N-LR in {above} of 2 seeds for 1-LR and in 1 of 2 seeds for 2-LR."
    assert compare(rows, "The ratio") == counted
    alone = f"The ratio is below that of N-LR in {below} of 2 seeds for 1-LR."
    assert compare(rows, "The ratio", ours=("1-LR",), below=True) == alone


@pytest.mark.parametrize("page", [*sections.PAGES, "training"])
def test_every_page_has_a_claim_that_cites_the_papers_numbers(page):
    claim = PROSE[page].claim()
    assert re.search(r"[sS]ection (\d|[A-D]\b)", claim) and claim.endswith(".")


def test_the_recipe_that_is_quoted_is_that_of_the_preset_paper():
    spec = presets.spec("paper", "1-LR", 0)
    first, second = spec.milestones
    for words in (
        f"learning rate {spec.learning_rate:g}, divided by ten at epochs {first} and {second} of {spec.epochs}",
        f"batches of {spec.batch_size}",
        f"plain training for {spec.lr.from_epoch} epochs",
    ):
        assert words in training.claim()
    assert spec.lr.cut_every == 10 and "every ten steps" in training.claim()


def test_claims_quote_the_printed_cells():
    cell = paper.printed("table4", arch="resnet18", variant="2-LR", probability=0.6)
    assert f"2-LR {cell} %" in noise_stability.claim()
    large = {"dataset": "cifar10", "arch": "resnet50", "setting": "white_box", "eps": "16/255", "steps": 20}
    for variant in ("N-LR", "1-LR"):
        assert f"keeps {paper.printed('table1', variant=variant, **large)} %" in adversarial.claim()


@pytest.mark.parametrize("page, preset", COMMITTED)
def test_the_committed_records_are_put_into_whole_sentences(page, preset):
    for sentence in PROSE[page].findings(results.load(results.path(page, preset)).main()):
        assert sentence.startswith("**") and sentence.endswith(".")
        assert "nan" not in sentence and "  " not in sentence


@pytest.mark.parametrize("page", sections.PAGES)
def test_a_single_seed_makes_sentences_too(page, measured):
    record = measured[page]
    rows = [row for row in record.rows if row["seed"] == 0]
    sentences = PROSE[page].findings(results.Record(page, "quick", record.runs, rows))
    assert sentences and not any("nan" in sentence for sentence in sentences)


# Effective rank


@pytest.fixture
def ranks(row, record_of):
    def make(one, none, accuracy):
        ratios = {"N-LR": none, "1-LR": one, "2-LR": [0.7, 0.7]}
        rows = [
            row(artefact, "variance_ratio", value, variant=variant, seed=seed, k=k, tap=tap)
            for artefact, tap in (("figure2a", "avgpool"), ("figure2b", "layer3"))
            for variant, own in ratios.items()
            for seed, value in enumerate(own)
            for k in (1, 10)
        ]
        rows += [
            row("figure2a", "accuracy", value, variant=variant, seed=seed, k=0, tap="")
            for variant, own in {"N-LR": [0.9, 0.9], "1-LR": accuracy, "2-LR": [0.8, 0.8]}.items()
            for seed, value in enumerate(own)
        ]
        return effective_rank.findings(record_of(rows, page="effective_rank"))

    return make


def test_the_effective_rank_is_told_with_the_rows_numbers(ranks):
    last, early, accuracy = ranks([0.95, 0.95], [0.6, 0.6], [0.9, 0.895])
    assert "60.0 % (±0.0, 2 seeds) of the energy in N-LR, 95.0 % (±0.0, 2 seeds) in 1-LR and 70.0 %" in last
    counts = "The ratio is above that of N-LR in 2 of 2 seeds for 1-LR and in 2 of 2 seeds for 2-LR."
    assert last.endswith(counts) and counts in early
    assert "One direction alone carries 60.0 % (±0.0, 2 seeds) in N-LR and 70.0 % (±0.0, 2 seeds) in 2-LR" in early
    assert accuracy.endswith("by more than one point in 2 of 2 seeds for 1-LR and in 0 of 2 seeds for 2-LR.")


def test_the_effective_rank_is_told_the_other_way_round_when_the_rows_are(ranks):
    last, _, accuracy = ranks([0.5, 0.5], [0.6, 0.6], [0.9, 0.88])
    assert last.endswith("in 0 of 2 seeds for 1-LR and in 2 of 2 seeds for 2-LR.")
    assert accuracy.endswith("by more than one point in 1 of 2 seeds for 1-LR and in 0 of 2 seeds for 2-LR.")


# Adversarial robustness


@pytest.fixture
def attacked(row, record_of):
    def make(white, black, *, steps=(7, 20), eps=("8/255", "16/255"), random_start=True, step_size="1/255", more=()):
        rows = [
            row("table1", "adversarial_accuracy", value, variant=variant, setting=setting, eps=one, steps=n)
            for setting, values in (("white_box", white), ("black_box", black))
            for variant, value in values.items()
            for one in eps
            for n in steps
        ]
        nearest = {"attack": "deepfool", "setting": "white_box"}
        rows += [row("table3", "rho", 0.1 * (i + 1), variant=v, **nearest) for i, v in enumerate(VARIANTS)]
        rows += [row("table3", "success_rate", 0.99, variant=v, **nearest) for v in VARIANTS]
        rows += more
        settings = {"random_start": random_start, "step_size": step_size, "steps": list(steps), "eps": list(eps)}
        settings["unit"] = "normalized"
        return adversarial.findings(record_of(rows, **settings))

    return make


def test_attacks_are_told_with_the_rows_numbers(attacked):
    white, black, deepfool = attacked({"N-LR": 0.1, "1-LR": 0.2, "2-LR": 0.05}, {"1-LR": 0.6, "2-LR": 0.5})
    assert (
        "PGD with 20 steps, at 8/255 (pixels divided by the dataset's standard deviation): 10.0 % (one seed)" in white
    )
    assert "above that of N-LR in 1 of 1 seeds for 1-LR and in 0 of 1 seeds for 2-LR. At 16/255 it is 10.0 %" in white
    assert "60.0 % (one seed) for 1-LR and 50.0 % (one seed) for 2-LR" in black
    assert "ρ = 0.100 of its norm for N-LR, 0.200 for 1-LR and 0.300 for 2-LR" in deepfool and "99.0 %" in deepfool


@pytest.mark.parametrize(
    ("black", "said"),
    [
        ({"1-LR": 0.6, "2-LR": 0.5}, "as it should be without masked gradients"),
        ({"1-LR": 0.1, "2-LR": 0.5}, "The transferred attack is the stronger one in 4 of 8 settings (1-LR)"),
        ({"1-LR": 0.1, "2-LR": 0.01}, "The transferred attack is the stronger one in 8 of 8 settings (1-LR, 2-LR)"),
    ],
)
def test_a_transferred_attack_that_beats_the_white_box_is_said_to_mask_gradients(attacked, black, said):
    _, sentence, *_ = attacked({"N-LR": 0.1, "1-LR": 0.2, "2-LR": 0.05}, black)
    assert said in sentence


def test_steps_too_short_for_the_radii_are_said_to_be(attacked):
    accuracies = ({"N-LR": 0.1, "1-LR": 0.2, "2-LR": 0.05}, {"1-LR": 0.6, "2-LR": 0.5})
    short = [line for line in attacked(*accuracies, random_start=False) if line.startswith("**Too few steps")]
    assert len(short) == 1 and "reach no further than 7 x 1/255" in short[0] and "8/255, 16/255" in short[0]
    for enough in (
        {"random_start": True},
        *({"random_start": False, "step_size": step} for step in ("4/255", "eps/4")),
    ):
        assert not [line for line in attacked(*accuracies, **enough) if line.startswith("**Too few steps")]


def test_what_else_was_measured_is_told_too(attacked, row):
    other = {"setting": "white_box", "steps": 20}
    more = [row("table1_other_unit", "adversarial_accuracy", 0.01, variant=v, eps="8/255", **other) for v in VARIANTS]
    more += [
        row("table2", "adversarial_accuracy", value, variant=name, eps="16/255", **other)
        for name, value in {"N-LR": 0.1, "SNIP": 0.05, "SRN": 0.3, "SN": 0.2}.items()
    ]
    nearest = {"attack": "deepfool", "setting": "black_box"}
    more += [row("table3", "rho", 0.05, variant=v, **nearest) for v in VARIANTS[1:]]
    for variant, seed, found in (("N-LR", 0, 1), ("N-LR", 1, 1), ("1-LR", 0, 1), ("1-LR", 1, 0), ("2-LR", 0, 0)):
        about = {"variant": variant, "seed": seed, "attack": "pgd", "setting": "white_box"}
        more.append(row("table10", "found", found, **about))
        more += [row("table10", "eps_min", 0.01 + 0.02 * seed, **about)] * found
    ladder = {"1/255": (0.9, 0.01), "2/255": (0.6, 0.02), "4/255": (0.4, 0.04), "8/255": (0.1, 0.08)}
    for eps, (right, size) in ladder.items():
        about = {"variant": "1-LR", "eps": eps, "attack": "pgd"}
        more += [row("figure4a", "adversarial_accuracy", right, **about), row("figure4a", "rho", size, **about)]
    for step in (0, 1):
        more.append(row("figure11b", "instantaneous_accuracy", 1 - 0.3 * step, variant="1-LR", step=step))
        more.append(row("figure11b", "cumulative_accuracy", 1 - 0.5 * step, variant="1-LR", step=step))
    lines = attacked({"N-LR": 0.1, "1-LR": 0.2, "2-LR": 0.05}, {"1-LR": 0.6, "2-LR": 0.5}, more=more)
    _, _, deepfool, unit, others, smallest, half, way = lines
    assert "until the LR network is fooled, it takes 0.050 and 0.050" in deepfool
    assert unit.startswith("**In pixels in [0, 1]**") and "at the smallest radius, 8/255, leaves 1.0 %" in unit
    assert "N-LR 10.0 % (one seed), SNIP 5.0 % (one seed), SRN 30.0 % (one seed), SN 20.0 % (one seed)." in others
    assert "0.02 for N-LR, 0.01 for 1-LR (1 of 2 seeds), not found for 2-LR, in pixels " in smallest
    assert "of figure 4a: 1-LR 0.02 to 0.04." in half
    assert "after 1 steps of PGD, 70.0 % of 1-LR's answers" in way and "50.0 % never were others" in way


# Noise stability


@pytest.fixture
def noisy(row, record_of):
    def make(noise, reach):
        rows = [
            row("table4", "noise_accuracy", value if p else 0.99, variant=variant, probability=p)
            for variant, value in noise.items()
            for p in (0.0, 1.0)
        ]
        rows += [
            row("figure4b", metric, value, variant=variant, setting=setting, eps=eps)
            for setting, share in (("white_box", 1.0), ("black_box", 0.5))
            for variant, factor in reach.items()
            if setting == "white_box" or variant != "N-LR"
            for eps, size in (("2/255", 0.01), ("8/255", 0.1))
            for metric, value in (("input_ratio", size), ("representation_ratio", share * factor * size))
        ]
        rows += [
            row("figure4c", "layer_cushion", 0.25 * q, variant=variant, tap="fc", quantile=q)
            for variant in (*VARIANTS, "random")
            for q in (0.0, 0.5, 1.0)
        ]
        return noise_stability.findings(record_of(rows, page="noise_stability"))

    return make


def test_noise_is_told_with_the_rows_numbers(noisy):
    noise, reach, shown, cushion = noisy(
        {"N-LR": 0.3, "1-LR": 0.4, "2-LR": 0.5}, {"N-LR": 3.0, "1-LR": 2.0, "2-LR": 1.5}
    )
    assert "p = 1: 30.0 % (one seed) for N-LR, 40.0 % (one seed) for 1-LR, 50.0 % (one seed) for 2-LR" in noise
    assert noise.endswith("above that of N-LR in 1 of 1 seeds for 1-LR and in 1 of 1 seeds for 2-LR.")
    assert "white box" in reach and "At 8/255 it is 3 in N-LR, 2 in 1-LR" in reach
    assert reach.endswith("The factor is below that of N-LR in 1 of 1 seeds for 1-LR and in 1 of 1 seeds for 2-LR.")
    assert "black box (made on N-LR)" in shown and "in N-LR, 1 in 1-LR, 0.75 in 2-LR" in shown
    assert "fc: N-LR 0.125, 1-LR 0.125, 2-LR 0.125, random 0.125" in cushion
    assert cushion.endswith(
        "At fc the median is above that of N-LR in 0 of 1 seeds for 1-LR and in 0 of 1 seeds for 2-LR."
    )


@pytest.mark.parametrize(("own", "less"), [(9.0, 1), (2.5, 0)])
def test_a_twin_of_n_lr_is_told_beside_what_its_examples_do_to_the_lr_networks(own, less, row, record_of):
    """The LR networks' factors are 2 and 4; that of another N-LR, which was not attacked either, is 3."""
    rows = [row("table4", "noise_accuracy", 0.5, variant=name, probability=1.0) for name in VARIANTS]
    rows += [row("figure4c", "layer_cushion", 0.1, variant=name, tap="fc", quantile=0.5) for name in VARIANTS]
    for setting, variant, factor in (
        ("white_box", "N-LR", own),
        ("white_box", "1-LR", 9.0),
        ("white_box", "2-LR", 9.0),
        ("black_box", "1-LR", 2.0),
        ("black_box", "2-LR", 4.0),
        ("another_seed", "N-LR", 3.0),
    ):
        metrics = {"input_ratio": 0.1, "representation_ratio": 0.1 * factor, "amplification": factor}
        rows += [
            row("figure4b", metric, value, variant=variant, setting=setting, eps="8/255")
            for metric, value in metrics.items()
        ]
    record = record_of(rows, page="noise_stability")
    (said,) = (line for line in noise_stability.findings(record) if line.startswith("**An N-LR of another seed**"))
    assert f"the examples were made on in {less} of 1 seeds: its factor at 8/255 is 3." in said
    assert "below that of N-LR in 1 of 1 seeds for 1-LR and in 0 of 1 seeds for 2-LR." in said
    white, black = plots.propagation(record).axes
    assert [text.get_text() for text in black.get_legend().get_texts()] == ["1-LR", "2-LR", "N-LR, another seed"]
    assert "N-LR, another seed" not in [line.get_label() for line in white.lines]


def test_noise_is_told_the_other_way_round_when_the_rows_are(noisy):
    noise, reach, *_ = noisy({"N-LR": 0.5, "1-LR": 0.4, "2-LR": 0.5}, {"N-LR": 1.0, "1-LR": 2.0, "2-LR": 1.5})
    assert noise.endswith("in 0 of 1 seeds for 1-LR and in 0 of 1 seeds for 2-LR.")
    assert reach.endswith("in 0 of 1 seeds for 1-LR and in 0 of 1 seeds for 2-LR.")


def test_the_level_of_noise_is_compared_with_its_probability(row, record_of):
    accuracy = {"table4": {0.4: 0.9, 1.0: 0.5}, "table4_other_reading": {0.4: 0.8, 1.0: 0.3}}
    rows = [
        row(artefact, "noise_accuracy", value + 0.02 * seed, variant=variant, seed=seed, probability=p)
        for artefact, values in accuracy.items()
        for variant in VARIANTS
        for seed in (0, 1)
        for p, value in values.items()
    ]
    rows += [
        row("figure4b", metric, 0.1, variant=variant, setting="white_box", eps="8/255", seed=seed)
        for variant in VARIANTS
        for seed in (0, 1)
        for metric in ("input_ratio", "representation_ratio")
    ]
    rows += [
        row("figure4c", "layer_cushion", 0.1, variant=v, tap="fc", quantile=0.5, seed=s)
        for v in VARIANTS
        for s in (0, 1)
    ]
    rows += [
        row("figure12", "block_cushion", 0.1 * place, variant=v, tap="layer1", quantile=0.5)
        for place, v in enumerate(VARIANTS)
    ]
    found = noise_stability.findings(record_of(rows, page="noise_stability", level="0.25"))
    assert (
        "whose standard deviations differ by a factor of 2.0, N-LR's accuracy differs by 15.0 points on average over p"
        in found[1]
    )
    assert found[1].endswith("; from p = 0.4 to 1 by 40.0 points.")
    assert found[-1].endswith(
        "In layer1 it is above that of N-LR in 1 of 1 seeds for 1-LR and in 1 of 1 seeds for 2-LR."
    )


# Compression


@pytest.fixture
def compressed(row, record_of):
    def make(ours):
        rows = [
            row(artefact, "max_margin_accuracy", accuracy, variant=variant, tap=tap, dim=dim)
            for artefact, tap in (("table5a", "avgpool"), ("table5b", "layer3"))
            for variant, few in {"N-LR": 0.6, "1-LR": ours, "2-LR": ours}.items()
            for dim, accuracy in ((128, 0.9), (20, 0.8), (5, few))
        ]
        return compression.findings(record_of(rows, page="compression"))

    return make


@pytest.mark.parametrize(("ours", "above"), [(0.7, 1), (0.5, 0)])
def test_compression_is_told_with_the_rows_numbers(compressed, ours, above):
    for sentence, variant in zip(compressed(ours), ("1-LR", "2-LR"), strict=True):
        assert "all 128 dimensions give 90.0 % (one seed)" in sentence
        assert f"5 dimensions give {100 * ours:.1f} % (one seed) and 60.0 % (one seed)" in sentence
        assert sentence.endswith(f"is above that of N-LR in {above} of 1 seeds for {variant}.")
