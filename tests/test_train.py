"""Training: what a specification fixes, the published recipe, and what the LR layers change in it."""

import itertools
import json
import math
from dataclasses import asdict, fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from lrlib import data, engine, metrics, models, train
from lrlib.data import crop_and_flip
from lrlib.data.dataset import describe
from lrlib.specs import Baseline, Regularizer, Spec
from lrlib.train import TrainingDiverged

LR = Regularizer(lambda_c=1.0, lambda_n=1.0, from_epoch=1, cut_every=3)
PLAIN = Spec(
    dataset="digits",
    size=None,
    arch="resnet18",
    width=2,
    variant="N-LR",
    seed=0,
    epochs=2,
    batch_size=32,
    optimizer="sgd",
    learning_rate=0.05,
    milestones=None,
    momentum=0.9,
    weight_decay=5e-4,
    precision="fp32",
    lr=None,
)
ONE = replace(PLAIN, variant="1-LR", lr=LR)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits():
    """The first 100 images for training, the next 50 for testing."""
    whole = data.load("digits")
    x, y = whole.x_train, whole.y_train
    return describe("digits", (x[:100], y[:100]), (x[100:150], y[100:150]), classes=whole.classes)


def trained(spec, dataset):
    return train.train(spec, dataset, progress=False)


def weights(spec, dataset):
    return trained(spec, dataset)[0].state_dict()


def watch_layers(monkeypatch):
    """The LR layers of the latest training, by tap."""
    seen, attach = {}, engine.attach
    monkeypatch.setattr(engine, "attach", lambda model, layers, **k: seen.update(layers) or attach(model, layers, **k))
    return seen


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


# specifications

OTHER = {
    "dataset": "mnist",
    "size": 16,
    "arch": "resnet50",
    "width": 3,
    "variant": "2-LR",
    "seed": 1,
    "epochs": 3,
    "batch_size": 16,
    "optimizer": "adam",
    "learning_rate": 0.1,
    "milestones": (1,),
    "momentum": 0.5,
    "weight_decay": 0.0,
    "precision": "bf16",
    "lr": replace(LR, members=2),
}
OTHER_LR = {
    "lambda_c": 2.0,
    "lambda_n": 2.0,
    "from_epoch": 0,
    "ranks": (3,),
    "cut_every": 5,
    "step_size": 0.2,
    "projection": "exact",
    "members": 3,
    "as_written": True,
    "start": "random",
    "bounded": False,
}


OTHER_BASELINE = {"sparsity": 0.5, "stable_rank": 0.5, "eps": 0.1, "step_size": 0.1, "steps": 1}


def test_the_name_changes_with_every_field():
    assert {*OTHER, "baseline"} == {field.name for field in fields(Spec)}
    assert OTHER_LR.keys() == {field.name for field in fields(Regularizer)}
    specs = [ONE, *(replace(ONE, **{name: value}) for name, value in OTHER.items())]
    specs += [replace(ONE, lr=replace(LR, **{name: value})) for name, value in OTHER_LR.items()]
    pruned = replace(PLAIN, variant="SNIP", baseline=Baseline())
    specs += [pruned, *(replace(pruned, baseline=Baseline(**{name: value})) for name, value in OTHER_BASELINE.items())]
    assert OTHER_BASELINE.keys() == {field.name for field in fields(Baseline)}
    assert len({spec.name.rsplit("_", 1)[1] for spec in specs}) == len(specs)


def test_the_name_does_not_depend_on_the_order_of_the_content(monkeypatch):
    name, content = ONE.name, ONE.content()
    backwards = dict(
        reversed([(key, dict(reversed(v.items())) if isinstance(v, dict) else v) for key, v in content.items()])
    )
    monkeypatch.setattr(Spec, "content", lambda self: backwards)
    assert list(backwards) != list(content) and ONE.name == name


def test_the_name_is_readable_and_fit_for_a_file():
    assert ONE.name.startswith("digits_resnet18-2_1-LR_s0_")
    assert "/" not in replace(PLAIN, dataset="folder:/a/b").name


def test_a_specification_survives_json():
    content = json.loads(json.dumps(ONE.content()))
    assert content | {"baseline": None} == json.loads(json.dumps(asdict(ONE))) and content == ONE.content()
    pruned = replace(PLAIN, variant="SNIP", baseline=Baseline(sparsity=0.5))
    assert pruned.content() == json.loads(json.dumps(asdict(pruned))) and Spec.of(pruned.content()) == pruned


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: replace(PLAIN, lr=LR), "no LR settings for the variant 'N-LR'"),
        (lambda: replace(PLAIN, variant="1-LR"), "LR settings for the variant '1-LR', got none"),
        (lambda: replace(PLAIN, variant="Bottle-1LR", lr=LR), "no LR settings for the variant 'Bottle-1LR'"),
        (lambda: replace(PLAIN, variant="LR"), "a variant among"),
        (lambda: replace(PLAIN, arch="resnet"), "an arch among"),
        (lambda: replace(ONE, arch="1L"), "which has no place for LR layers"),
        (lambda: replace(PLAIN, optimizer="rmsprop"), "optimizer among sgd, adam, got 'rmsprop'"),
        (lambda: replace(PLAIN, precision="fp8"), "precision among fp32, bf16, got 'fp8'"),
        (lambda: replace(PLAIN, epochs=-1), "epochs >= 0"),
        (lambda: replace(PLAIN, batch_size=0), "batch_size >= 1"),
        (
            lambda: replace(ONE, lr=replace(LR, ranks=(1, 2))),
            r"a rank for each of avgpool, or none, got ranks=\(1, 2\)",
        ),
        (lambda: replace(LR, from_epoch=-1), "from_epoch >= 0, got -1"),
        (lambda: replace(LR, projection="svd"), "projection among"),
        (lambda: replace(LR, step_size=1.0), "step_size between 0 and 1"),
        (lambda: replace(LR, cut_every=0), "cut_every >= 1"),
        (lambda: replace(LR, members=0), "members >= 1"),
    ],
)
def test_impossible_settings_are_refused_before_any_training(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# what a training depends on


@pytest.mark.parametrize("spec", [PLAIN, replace(ONE, lr=replace(LR, from_epoch=0)), replace(ONE, precision="bf16")])
def test_training_is_the_same_to_the_last_bit_each_time(digits, spec):
    first, summary = trained(spec, digits)
    torch.rand(3)
    second, again = trained(spec, digits)
    assert same(first.state_dict(), second.state_dict()) and summary == again


def test_another_seed_trains_another_network(digits):
    assert not same(weights(PLAIN, digits), weights(replace(PLAIN, seed=1), digits))


def test_training_leaves_the_global_random_state_alone(digits):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    trained(ONE, digits)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_epochs_leave_the_network_it_starts_from(digits):
    model, summary = trained(replace(PLAIN, epochs=0), digits)
    torch.manual_seed(PLAIN.seed)
    assert same(model.state_dict(), train.build(PLAIN, digits).state_dict())
    assert summary == {} and not model.training


def test_a_regularized_training_is_the_plain_one_until_the_layers_are_put_on(digits):
    both = []
    for spec in (PLAIN, replace(ONE, lr=replace(LR, from_epoch=1))):
        torch.manual_seed(spec.seed)
        both.append(engine.Training(spec, digits, train.build(spec, digits), torch.device("cpu")))
    for alike in (True, False):
        for training in both:
            training.epoch(tqdm(disable=True))
        assert same(*(training.model.state_dict() for training in both)) == alike


@pytest.mark.parametrize("variant", ["1-LR", "2-LR"])
def test_a_regularized_training_without_weight_on_its_losses_is_the_plain_one(digits, variant):
    idle = replace(PLAIN, variant=variant, lr=replace(LR, lambda_c=0.0, lambda_n=0.0, from_epoch=0))
    assert same(weights(idle, digits), weights(PLAIN, digits))


@pytest.mark.parametrize("spec", [PLAIN, ONE, replace(ONE, variant="2-LR"), replace(PLAIN, variant="Bottle-2LR")])
def test_a_trained_network_is_in_eval_mode_and_carries_no_hooks(digits, spec):
    model, _ = trained(spec, digits)
    assert not any(module.training or module._forward_hooks for module in model.modules())
    assert model.state_dict().keys() == train.build(spec, digits).state_dict().keys()


def test_the_layers_sit_at_the_papers_taps_with_the_ranks_asked_for(digits, monkeypatch):
    seen = watch_layers(monkeypatch)
    spec = replace(PLAIN, width=8, variant="2-LR", lr=replace(LR, members=2, as_written=True))
    trained(spec, digits)
    assert {tap: lr.rank for tap, lr in seen.items()} == {
        tap: models.target_rank("resnet18", tap, lr.features) for tap, lr in seen.items()
    }
    assert tuple(seen) == models.taps("resnet18", "2-LR")
    assert all(lr.cut.members == 2 and lr.cut.as_written and lr.cut_every == LR.cut_every for lr in seen.values())
    trained(replace(spec, seed=7, lr=replace(LR, ranks=(3, 5))), digits)
    assert [(lr.rank, lr.seed) for lr in seen.values()] == [(3, 7), (5, 7)]


def test_the_layers_take_a_step_with_every_batch_from_their_epoch_on(digits, monkeypatch):
    seen = watch_layers(monkeypatch)
    trained(replace(PLAIN, epochs=3, batch_size=25, variant="2-LR", lr=LR), digits)
    assert [lr.steps for lr in seen.values()] == [8, 8]


# the recipe


def test_a_training_is_a_plain_loop_of_sgd(digits):
    """Each batch and learning rate as published, written out once more; linear, so that nothing is tuned away."""
    spec = replace(PLAIN, arch="2L", width=5, epochs=3, batch_size=30, milestones=(1, 2), learning_rate=0.1)
    torch.manual_seed(spec.seed)
    model = train.build(spec, digits)
    velocity = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for epoch in range(3):
        order = torch.randperm(100, generator=seeded(spec.seed * 1_000_003 + epoch))
        for batch in order.split(25):
            loss = F.cross_entropy(model(digits.x_train[batch].float() / 255), digits.y_train[batch])
            for (name, p), g in zip(
                model.named_parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True
            ):
                velocity[name] = spec.momentum * velocity[name] + g + spec.weight_decay * p.detach()
                p.data -= 0.1 / 10**epoch * velocity[name]
    got = weights(spec, digits)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-6)


def learning_rates(spec, batches):
    optimizer = engine._optimizer(spec, nn.Linear(1, 1))
    schedule = engine._schedule(spec, optimizer, batches)
    rates = []
    for _ in range(spec.epochs * batches):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_milestones_divide_the_learning_rate_by_ten_from_the_first_step_of_those_epochs_on():
    rates = learning_rates(replace(PLAIN, epochs=6, milestones=(2, 4), learning_rate=0.1), 3)
    assert rates == pytest.approx([0.1] * 6 + [0.01] * 6 + [0.001] * 6)


def test_without_milestones_one_cycle_rises_for_three_tenths_to_its_highest_and_falls_on_two_cosines():
    spec = replace(PLAIN, epochs=10, learning_rate=0.4)
    rates, n = learning_rates(spec, 10), 100
    peak = 0.3 * (n + 1) - 1

    def cosine(start, end, t):
        return end + (start - end) / 2 * (1 + math.cos(math.pi * t))

    low, high = 0.4 / 25, 0.4
    expected = [
        cosine(low, high, i / peak) if i <= peak else cosine(high, low / 1e4, (i - peak) / (n - peak)) for i in range(n)
    ]
    assert rates == pytest.approx(expected)
    assert max(rates) == pytest.approx(0.4, rel=1e-3)


@pytest.mark.parametrize("epochs, batch_size", [(1, 1000), (1, 50), (2, 1000)])
def test_the_shortest_trainings_have_a_learning_rate_too(digits, epochs, batch_size):
    model, _ = trained(replace(PLAIN, epochs=epochs, batch_size=batch_size), digits)
    assert all(torch.isfinite(p).all() for p in model.parameters())


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500), st.integers(1, 100))
def test_an_epoch_is_every_example_once_in_batches_of_equal_size_but_for_one(n, batch_size):
    batches = engine._order(n, -(-n // batch_size), seeded())
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1
    assert torch.cat(batches).sort().values.tolist() == list(range(n))


@pytest.mark.parametrize("optimizer, kind", [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)])
def test_the_optimizer_is_the_one_asked_for(optimizer, kind):
    built = engine._optimizer(replace(PLAIN, optimizer=optimizer), nn.Linear(1, 1))
    assert type(built) is kind and built.defaults["lr"] == 0.05 and built.defaults["weight_decay"] == 5e-4
    assert not built.defaults.get("nesterov")


def test_the_summary_is_the_mean_over_the_examples_of_the_last_epoch(digits):
    """With a learning rate of (nearly) nothing the network stands still, so that it can be asked again afterwards."""
    spec = replace(PLAIN, arch="1L", learning_rate=1e-12, batch_size=30)
    model, summary = trained(spec, digits)
    logits = model(data.as_float(digits.x_train))
    assert summary["loss"] == pytest.approx(F.cross_entropy(logits, digits.y_train).item(), rel=1e-5)
    assert summary["accuracy"] == pytest.approx(metrics.accuracy(model, data.as_float(digits.x_train), digits.y_train))


def test_a_small_network_learns_the_digits():
    spec = replace(PLAIN, width=4, epochs=3, batch_size=64)
    digits = data.load("digits")
    model, _ = trained(spec, digits)
    assert metrics.accuracy(model, data.as_float(digits.x_test), digits.y_test) > 0.8


# augmentation


def crop_and_flip_slowly(x, generator, padding):
    """Image by image: a frame of zeros, a crop at the drawn corner, a mirror image for half of them."""
    n, c, h, w = x.shape
    corners = torch.randint(2 * padding + 1, (2, n), generator=generator)
    flips = torch.rand(n, generator=generator)
    out = torch.empty_like(x)
    for i in range(n):
        framed = torch.zeros(c, h + 2 * padding, w + 2 * padding)
        framed[:, padding : padding + h, padding : padding + w] = x[i]
        top, left = corners[:, i].tolist()
        crop = framed[:, top : top + h, left : left + w]
        out[i] = torch.stack([row.flip(-1) for row in crop.unbind(1)], 1) if flips[i] < 0.5 else crop
    return out


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 3), st.integers(1, 9), st.integers(0, 4))
def test_crop_and_flip_is_the_slow_loop(seed, channels, size, padding):
    x = torch.rand(7, channels, size, size + 1, generator=seeded(seed))
    fast = crop_and_flip(x, seeded(seed), padding=padding)
    assert torch.equal(fast, crop_and_flip_slowly(x, seeded(seed), padding))


def test_every_shift_and_both_mirror_images_occur_equally_often():
    x = torch.zeros(40_000, 1, 9, 9)
    x[:, 0, 4, 4] = 1
    spots = crop_and_flip(x, seeded()).sum(0)[0] / len(x)
    torch.testing.assert_close(spots, torch.full((9, 9), 1 / 81), atol=3e-3, rtol=0)
    x[:, 0, 4, 4], x[:, 0, 4, 5] = 0, 1
    assert (crop_and_flip(x, seeded(), padding=0)[:, 0, 4, 3] == 1).float().mean().item() == pytest.approx(
        0.5, abs=0.02
    )


@pytest.mark.parametrize("augment", [True, False])
def test_images_are_augmented_where_the_dataset_says_so_and_only_there(digits, monkeypatch, augment):
    calls = []
    monkeypatch.setattr(engine, "crop_and_flip", lambda x, generator: calls.append(len(x)) or x)
    trained(replace(PLAIN, arch="1L", epochs=1), replace(digits, augment=augment))
    assert calls == ([25] * 4 if augment else [])


# divergence


@pytest.mark.parametrize("spec", [replace(PLAIN, arch="2L"), PLAIN, replace(ONE, lr=replace(LR, from_epoch=0))])
def test_a_training_that_diverges_says_so_and_names_the_model(digits, spec):
    spec = replace(spec, learning_rate=1e30, milestones=(), epochs=3)
    with pytest.raises(TrainingDiverged, match=f"expected .*finite .*training {spec.name}"):
        trained(spec, digits)


def test_a_network_whose_very_last_step_spoils_it_is_not_handed_out(digits):
    spec = replace(PLAIN, arch="2L", epochs=1, batch_size=1000, learning_rate=1e38, milestones=(), weight_decay=1e38)
    with pytest.raises(TrainingDiverged, match="expected finite weights and statistics"):
        trained(spec, digits)


@pytest.mark.parametrize("learning_rate, from_epoch", list(itertools.product([0.01, 0.2], [0, 1])))
@pytest.mark.parametrize(
    "variant, lambda_c, lambda_n",
    [*itertools.product(["1-LR", "2-LR"], [0.1, 10.0], [0.1, 10.0])],
)
def test_the_lr_layers_do_not_make_a_training_diverge(digits, variant, learning_rate, from_epoch, lambda_c, lambda_n):
    """At a constant learning rate, without the warm-up of one-cycle."""
    lr = Regularizer(lambda_c=lambda_c, lambda_n=lambda_n, from_epoch=from_epoch, cut_every=2)
    spec = replace(PLAIN, width=4, variant=variant, learning_rate=learning_rate, lr=lr, milestones=(), epochs=3)
    model, summary = trained(spec, digits)
    assert math.isfinite(summary["loss"]) and all(torch.isfinite(v).all() for v in model.state_dict().values())


def test_training_with_the_layer_lowers_the_rank_of_the_representations_whatever_the_projection():
    digits = data.load("digits")
    plain = replace(PLAIN, width=4, epochs=5, batch_size=64)

    def variance_of_three_directions(spec):
        model, _ = trained(spec, digits)
        return metrics.variance_ratio(metrics.features(model, data.as_float(digits.x_test), "avgpool").flatten(1), 3)

    without = variance_of_three_directions(plain)
    for projection in ("exact", "nystrom", "ensemble"):
        lr = Regularizer(lambda_c=0.3, lambda_n=0.03, from_epoch=1, ranks=(3,), projection=projection)
        assert variance_of_three_directions(replace(plain, variant="1-LR", lr=lr)) > without + 0.05


# progress


class Bar:
    """Stands in for tqdm's bar and remembers what it was shown."""

    made: list["Bar"]

    def __init__(self, *, initial, total, desc, unit, disable):
        assert initial == 0
        self.total, self.desc, self.disable = total, desc, bool(disable)
        self.events = []
        Bar.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.events.append("closed")

    def update(self):
        self.events.append("step")

    def set_postfix(self, shown, refresh):
        self.events.append(shown)


@pytest.fixture
def bars(monkeypatch):
    monkeypatch.setattr(train, "tqdm", Bar)
    Bar.made = []
    return Bar.made


def test_the_bar_counts_every_step_and_shows_loss_and_accuracy_on_the_way(digits, bars):
    spec = replace(PLAIN, arch="1L", epochs=2, batch_size=2)
    _, summary = train.train(spec, digits)
    (bar,) = bars
    assert bar.total == bar.events.count("step") == 100 and bar.desc == spec.name
    shown = [(bar.events[:i].count("step"), event) for i, event in enumerate(bar.events) if isinstance(event, dict)]
    assert [at for at, _ in shown] == [19, 39, 50, 69, 89, 100]
    assert all(event.keys() == {"loss", "accuracy"} for _, event in shown)
    assert shown[-1][1] == summary and bar.events[-1] == "closed"


def test_a_hidden_bar_is_not_asked_to_show_anything_on_the_way(digits, bars):
    train.train(replace(PLAIN, arch="1L", epochs=1, batch_size=2), digits, progress=False)
    assert sum(isinstance(event, dict) for event in bars[0].events) == 1


def test_the_bar_is_closed_when_a_training_diverges(digits, bars):
    with pytest.raises(TrainingDiverged):
        train.train(replace(PLAIN, arch="2L", learning_rate=1e30, milestones=()), digits)
    assert bars[0].events[-1] == "closed"


def test_progress_goes_to_terminals_only(digits, capfd):
    train.train(replace(PLAIN, arch="1L", epochs=1), digits)
    assert capfd.readouterr() == ("", "")
