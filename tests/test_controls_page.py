"""The page about controls: what is trained, the projection after training, its table and its sentences."""

from dataclasses import replace

import pytest
import torch
from sklearn.decomposition import PCA

from lrlib import data, metrics, models, presets, results, train, zoo
from lrlib.prose import controls as prose
from lrlib.sections import controls
from lrlib.sections.controls import PCA_CONTROL


@pytest.fixture
def parameters():
    def make(**given):
        return controls.Parameters.of("quick", **given)

    return make


# What is trained


def differing(spec, other):
    """The fields of two LR settings that differ, with their values in the first."""
    one, two = spec.lr, other.lr
    assert replace(spec, lr=two) == other
    return {name: value for name, value in vars(one).items() if value != getattr(two, name)}


def test_a_control_differs_from_1_lr_in_what_its_name_says_alone(parameters):
    trained = controls.controls(parameters(rank=[3, 7]), 5)
    one, lr = presets.spec("quick", "1-LR", 5), presets.get("quick").lr
    assert trained["1-LR"] == one and lr.lambda_c > 0 and lr.lambda_n > 0
    assert differing(trained["norm loss only"], one) == {"lambda_c": 0}
    assert differing(trained["projection loss only"], one) == {"lambda_n": 0}
    assert differing(trained["1-LR, rank 3"], one) == {"ranks": (3,)}
    assert differing(trained["1-LR, rank 7"], one) == {"ranks": (7,)}
    for variant in ("N-LR", "2-LR", "Bottle-1LR"):
        assert trained[variant] == presets.spec("quick", variant, 5)
    assert len(trained) == 8


def test_every_control_is_of_the_network_and_schedule_asked_for(parameters):
    given = parameters(arch="resnet50", dataset="svhn", epochs=7, seeds=[2, 4])
    specs = controls.specs(given)
    assert len(specs) == 2 * len(controls.controls(given, 2))
    assert {(one.arch, one.dataset, one.epochs) for one in specs} == {("resnet50", "svhn", 7)}
    assert [one.seed for one in specs] == sorted(one.seed for one in specs)


def test_a_rank_above_the_number_of_features_is_refused(parameters):
    digits, features = data.load("digits"), 8 * presets.get("quick").network.width
    parameters(rank=[features]).fit(digits)
    with pytest.raises(ValueError, match=f"^expected rank to be at most {features}, the features there, got 129$"):
        parameters(rank=[5, features + 1]).fit(digits)


# The projection after training


@pytest.fixture(scope="module")
def network():
    """A network of width 2 with random weights and batch statistics, the images it is shown, and the digits."""
    digits = data.load("digits")
    torch.manual_seed(0)
    model = train.build(replace(presets.spec("quick", "N-LR", 0), width=2), digits)
    x = data.as_float(digits.x_train[:80])
    model.train()(x)
    return model.eval(), x, data.as_float(digits.x_test[:50])


@pytest.mark.parametrize("rank", [1, 3, 16])
def test_the_logits_are_those_of_the_fc_layer_on_scikit_learns_reconstruction(network, rank):
    model, x_train, x = network
    with torch.no_grad():
        train_features, features = (metrics.features(model, part, "avgpool").flatten(1) for part in (x_train, x))
        found = PCA(rank, svd_solver="full").fit(train_features.double().numpy())
        rebuilt = found.inverse_transform(found.transform(features.double().numpy()))
        expected = torch.from_numpy(rebuilt).float() @ model.fc.weight.T + model.fc.bias
        logits = controls.projected(model, "avgpool", rank, x_train)(x)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rank", [1, 3])
def test_the_projected_features_span_no_more_directions_than_the_rank(network, rank):
    model, x_train, x = network
    features = metrics.features(controls.projected(model, "avgpool", rank, x_train), x, "avgpool").flatten(1).double()
    deviations = features - features.mean(0)
    values = torch.linalg.svdvals(deviations)
    assert (values[rank:] < 1e-5 * values[0]).all()
    plain = metrics.features(model, x, "avgpool").flatten(1).double()
    assert (torch.linalg.svdvals(plain - plain.mean(0))[rank:] > 1e-5 * values[0]).any()


def test_projecting_leaves_the_network_itself_as_it_was(network):
    model, x_train, x = network
    before, names = model(x), [name for name, _ in model.named_modules()]
    controls.projected(model, "avgpool", 2, x_train)
    assert torch.equal(model(x), before) and [name for name, _ in model.named_modules()] == names


def test_a_projection_onto_all_directions_changes_nothing():
    a = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0))
    directions = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))[0]
    whole = controls.Projection(torch.ones(6), directions)
    torch.testing.assert_close(whole(a), a)
    assert torch.equal(controls.Projection(torch.ones(6), directions[:0])(a), torch.ones_like(a))


# What is measured


def test_every_control_has_its_rows_and_rank(measured):
    frame = measured["controls"].frame("controls")
    target = models.target_rank("resnet18", "avgpool", 32)
    ranks = frame[frame["rank"].notna()].groupby("control")["rank"].agg(set).to_dict()
    with_target = ("1-LR", "2-LR", "Bottle-1LR", "norm loss only", "projection loss only", PCA_CONTROL)
    assert ranks == {**{name: {target} for name in with_target}, "1-LR, rank 2": {2}} and target != 2
    assert set(frame.control) - ranks.keys() == {"N-LR"}
    for _, group in frame.groupby("control"):
        assert sorted(group.metric) == ["accuracy", "adversarial_accuracy", "noise_accuracy", "rho", "variance_ratio"]
    assert set(frame[frame.metric != "accuracy"].n) == {8, 40} and set(frame[frame.metric == "rho"].n) == {8}


def test_the_accuracies_are_those_of_the_stored_networks(measured, tiny):
    given = measured["controls"].runs[0]["parameters"]
    frame = measured["controls"].frame("controls")
    frame = frame[frame.metric == "accuracy"].set_index("control").value
    digits = data.load("digits")
    x, y = data.as_float(digits.x_test[:40]), digits.y_test[:40]
    for control, spec in controls.controls(controls.Parameters.of(**given), 0).items():
        assert frame[control] == pytest.approx(metrics.accuracy(zoo.find(spec).model, x, y), abs=1e-6)


def test_survivors_are_kept_under_attack(measured):
    for row in measured["controls"].rows:
        assert ("survived" in row) == (row["metric"] == "adversarial_accuracy")
        if "survived" in row:
            assert results.survived(row).mean() == pytest.approx(row["value"], abs=1e-6)


# Its table and sentences

VALUES = {  # accuracy, variance ratio, PGD at the first and second radius, rho, noise
    "N-LR": (0.98, 0.61, 0.12, 0.02, 0.11, 0.31),
    PCA_CONTROL: (0.97, 0.99, 0.13, 0.03, 0.12, 0.32),
    "1-LR": (0.96, 0.91, 0.44, 0.24, 0.23, 0.53),
    "2-LR": (0.95, 0.92, 0.45, 0.25, 0.24, 0.54),
    "Bottle-1LR": (0.94, 0.83, 0.16, 0.06, 0.15, 0.36),
    "norm loss only": (0.93, 0.74, 0.27, 0.07, 0.26, 0.47),
    "projection loss only": (0.92, 0.85, 0.38, 0.08, 0.37, 0.48),
    "1-LR, rank 5": (0.91, 0.96, 0.49, 0.29, 0.28, 0.59),
    "1-LR, rank 50": (0.99, 0.71, 0.42, 0.22, 0.21, 0.52),
}
RANKS = {"N-LR": None, "1-LR, rank 5": 5, "1-LR, rank 50": 50}


@pytest.fixture
def made_up(row, record_of):
    def make(values=VALUES, seeds=(0,), preset="quick"):
        rows = []
        for seed in seeds:
            for control, (accuracy, ratio, weak, strong, rho, noise) in values.items():
                about = {"control": control, "rank": RANKS.get(control, 25), "seed": seed}
                rows += [
                    row("controls", "accuracy", accuracy, **about),
                    row("controls", "variance_ratio", ratio, k=10, **about),
                    row("controls", "adversarial_accuracy", weak, attack="pgd", eps="8/255", **about),
                    row("controls", "adversarial_accuracy", strong, attack="pgd", eps="16/255", **about),
                    row("controls", "rho", rho, attack="deepfool", **about),
                    row("controls", "noise_accuracy", noise, probability=0.4, **about),
                ]
        return record_of(rows, page="controls", preset=preset)

    return make


def test_each_control_is_told_against_n_lr_with_its_rows_numbers(made_up):
    told = prose.findings(made_up())
    assert told[1] == (
        "**norm loss only** against N-LR: accuracy 93.0 % against 98.0 %, variance ratio 0.740 against 0.610, accuracy "
        "under PGD at 8/255 27.0 % against 12.0 %, DeepFool's ρ 0.2600 against 0.1100."
    )
    named = [line.split("**")[1] for line in told]
    assert named == ["1-LR", "norm loss only", "projection loss only", "Bottle-1LR", PCA_CONTROL, "Rank"]
    for name, line in zip(named[:-1], told, strict=False):
        accuracy, ratio, pgd, _, rho, _ = VALUES[name]
        assert f"accuracy {100 * accuracy:.1f} % against 98.0 %" in line and f"ratio {ratio:.3f} against" in line
        assert f"at 8/255 {100 * pgd:.1f} % against" in line and f"ρ {rho:.4f} against 0.1100." in line


def test_ranks_are_told_from_the_least_to_the_most_of_1_lr_at_any_rank(made_up):
    assert prose.findings(made_up())[-1] == (
        "**Rank**, 1-LR at 5, 25, 50: accuracy from 91.0 % to 99.0 %, under PGD at 8/255 from 42.0 % to 49.0 %, "
        "DeepFool's ρ from 0.2100 to 0.2800, the largest at rank 5."
    )


def test_sentences_are_about_the_mean_over_seeds(made_up):
    record = made_up(seeds=(0, 1))
    for one in record.rows:
        one["value"] += 0.01 * (1 if one["seed"] else -1)
    assert prose.findings(record) == prose.findings(made_up())
