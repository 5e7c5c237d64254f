"""Presets: which networks they train, how a schedule is shortened; specifications that are read back."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrlib import data, models, presets, train
from lrlib.specs import Regularizer, Spec

QUICK = presets.get("quick")
PAPER = presets.get("paper")


# Networks


@pytest.mark.parametrize("preset", list(presets.PRESETS))
@pytest.mark.parametrize("variant", models.VARIANTS)
def test_a_presets_networks_differ_in_variant_seed_settings_rate_and_length_alone(preset, variant):
    chosen = presets.get(preset)
    spec = presets.spec(preset, variant, 7)
    assert spec.lr == chosen.settings(variant) and (spec.lr is not None) == (variant in ("1-LR", "2-LR"))
    assert spec.baseline == (chosen.baseline if variant in ("SNIP", "SRN", "SN", "PGD-trained") else None)
    rate = chosen.network.learning_rate
    assert spec.learning_rate == (presets.BOTTLE_RATE * rate if variant.startswith("Bottle") else rate)
    whole = presets.shortened(chosen.network, chosen.hardened_epochs) if variant == "PGD-trained" else chosen.network
    assert replace(spec, variant="N-LR", seed=0, lr=None, baseline=None, learning_rate=rate) == whole


def test_adversarial_training_is_shortened_with_its_milestones():
    """The paper's schedule of 350 epochs with steps down at 150 and 250, in 30 epochs and then in 7."""
    hardened = presets.spec("paper", "PGD-trained", 0)
    assert (hardened.epochs, hardened.milestones) == (30, (13, 21))
    assert presets.spec("paper", "PGD-trained", 0, epochs=7).milestones == (3, 5)
    assert presets.spec("paper", "PGD-trained", 0, epochs=100) == hardened


def test_a_variant_has_its_own_settings_of_the_layers_where_the_preset_has_such():
    other = replace(QUICK.lr, lambda_c=7.0)
    chosen = replace(QUICK, lr_of={"2-LR": other, "N-LR": other})
    assert [chosen.settings(variant) for variant in ("N-LR", "1-LR", "2-LR", "Bottle-1LR")] == [
        *(None, QUICK.lr, other, None)
    ]
    assert all(set(chosen.lr_of) <= set(models.REGULARIZED) for chosen in presets.PRESETS.values())


def test_another_architecture_or_dataset_takes_the_place_of_the_presets_own_and_nothing_else():
    own = presets.spec("quick", "1-LR", 0)
    assert presets.spec("quick", "1-LR", 0, arch="vgg19") == replace(own, arch="vgg19")
    assert presets.spec("quick", "1-LR", 0, dataset="svhn") == replace(own, dataset="svhn")
    assert presets.spec("quick", "1-LR", 0, arch=None, dataset=None, epochs=None) == own
    assert presets.spec("quick", "1-LR", 0, epochs=2) == presets.shortened(own, 2) != own


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("huge", "N-LR", {}), "^expected a preset among quick, small, paper, got 'huge'$"),
        (("quick", "3-LR", {}), "^expected a variant among N-LR, .*, got '3-LR'$"),
        (("quick", "N-LR", {"arch": "resnet"}), "^expected an arch among resnet18, .*, got 'resnet'$"),
        (("quick", "1-LR", {"arch": "1L"}), "^expected the variant N-LR for 1L, which has no place for LR layers"),
    ],
)
def test_a_network_that_there_is_not_is_refused(asked, message):
    preset, variant, other = asked
    with pytest.raises(ValueError, match=message):
        presets.spec(preset, variant, 0, **other)


def test_the_other_networks_are_among_those_that_can_be_trained():
    for chosen in presets.PRESETS.values():
        own = (chosen.network.arch, chosen.network.dataset)
        assert own not in chosen.others and len(set(chosen.others)) == len(chosen.others)
        assert all(arch in models.PLACED and data.is_known(dataset) for arch, dataset in chosen.others)
        assert not chosen.others or chosen.name == "paper"


def test_the_untrained_network_has_the_weights_that_its_training_starts_from():
    digits, small = data.load("digits"), replace(QUICK.network, width=2)
    untrained = presets.random_network(small)
    assert untrained == replace(small, epochs=0) and presets.random_network(untrained) == untrained
    model, summary = train.train(untrained, digits, progress=False)
    started = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(train.Training, "epoch", lambda self, bar: started.append(self.model) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train.train(small, digits, progress=False)
    assert summary == {}
    for value, first in zip(model.state_dict().values(), started[0].state_dict().values(), strict=True):
        assert value.equal(first)


# Shortened schedules


def network(epochs, milestones=(), from_epoch=0):
    lr = Regularizer(lambda_c=1.0, lambda_n=1.0, from_epoch=from_epoch)
    return replace(PAPER.network, variant="1-LR", epochs=epochs, milestones=milestones, lr=lr)


def test_the_papers_schedule_at_a_tenth_has_everything_at_a_tenth():
    short = presets.spec("paper", "2-LR", 0, epochs=35)
    assert (short.epochs, short.milestones, short.lr.from_epoch) == (35, (15, 25), 5)
    assert presets.spec("paper", "2-LR", 0).lr.from_epoch == 50


schedules = st.integers(1, 400).flatmap(
    lambda epochs: st.tuples(
        st.just(epochs), st.lists(st.integers(0, epochs), max_size=3).map(sorted), st.integers(0, epochs - 1)
    )
)


@pytest.mark.parametrize("from_epoch", [4, 5])
def test_layers_that_would_never_be_put_on_are_refused(from_epoch):
    with pytest.raises(ValueError, match=f"expected LR layers from an epoch before 4 on, got {from_epoch}"):
        network(4, (), from_epoch)
    assert network(0, (), from_epoch).epochs == 0  # the random network


@given(schedules, st.integers(1, 400))
def test_a_shortened_schedule_has_its_moments_in_proportion(schedule, epochs):
    whole, milestones, from_epoch = schedule
    spec = network(whole, tuple(milestones), from_epoch)
    short = presets.shortened(spec, epochs)
    if epochs >= whole:
        assert short is spec
        return
    assert short.epochs == epochs
    assert short.lr.from_epoch < epochs  # in proportion, but within the training
    moments = list(zip(short.milestones, milestones, strict=True))
    if short.lr.from_epoch < epochs - 1:
        moments.append((short.lr.from_epoch, from_epoch))
    assert all(abs(new / epochs - old / whole) <= 0.5 / epochs + 1e-12 for new, old in moments)
    assert list(short.milestones) == sorted(short.milestones)
    undone = replace(short, epochs=whole, milestones=spec.milestones, lr=spec.lr)
    assert undone == spec and replace(short.lr, from_epoch=from_epoch) == spec.lr


@pytest.mark.parametrize("milestones", [None, ()])
def test_a_schedule_without_milestones_stays_one(milestones):
    plain = replace(PAPER.network, milestones=milestones)
    assert presets.shortened(plain, 2) == replace(plain, epochs=2)


def test_an_untrained_network_cannot_be_shortened():
    untrained = presets.random_network(QUICK.network)
    assert presets.shortened(untrained, 1) is untrained


# Specifications that are read back

# As the committed records of `quick` name them, which are older than the baselines.
NAMES = {
    "N-LR": "digits_resnet18-16_N-LR_s0_7fe6b5d4086e",
    "1-LR": "digits_resnet18-16_1-LR_s0_0e77469f62db",
    "2-LR": "digits_resnet18-16_2-LR_s0_2a113b3f34de",
}


@pytest.mark.parametrize("variant", NAMES)
def test_a_specification_without_a_baseline_keeps_the_content_and_name_it_had_before_there_were_any(variant):
    spec = presets.spec("quick", variant, 0)
    assert "baseline" not in spec.content() and spec.name == NAMES[variant]
    assert Spec.of(spec.content() | {"baseline": None}).name == spec.name


ALL = [
    QUICK.network,
    presets.spec("paper", "2-LR", 3, arch="vgg19", dataset="svhn"),
    presets.classifier("quick", "LRL", 1),
    replace(presets.spec("quick", "1-LR", 0), size=32, lr=replace(QUICK.lr, ranks=(3,), start="random")),
    replace(presets.spec("quick", "2-LR", 0), milestones=(1, 2), lr=replace(QUICK.lr, ranks=(3, 4), bounded=False)),
    replace(QUICK.network, dataset="folder:/a/b"),
    presets.spec("quick", "SNIP", 0),
    presets.spec("paper", "PGD-trained", 1, arch="resnet50"),
]


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.name)
def test_a_specification_is_read_back_from_its_content(spec):
    content = json.loads(json.dumps(spec.content()))
    read = Spec.of(content)
    assert read == spec and read.name == spec.name and hash(read) == hash(spec)
    assert content == spec.content()


@pytest.mark.parametrize("field", ["learning_rate", "momentum", "weight_decay"])
def test_a_number_without_a_decimal_point_names_the_same_model(field):
    spec = replace(QUICK.network, **{field: 1.0})
    read = Spec.of(json.loads(json.dumps(spec.content()).replace("1.0", "1")))
    assert read == spec and read.name == spec.name


def test_a_setting_of_a_baseline_that_is_not_given_has_its_default():
    spec = presets.spec("quick", "PGD-trained", 0)
    content = spec.content()
    del content["baseline"]["steps"]
    assert Spec.of(content) == replace(spec, baseline=replace(spec.baseline, steps=7))


@pytest.mark.parametrize("left", ["ranks", "start", "bounded", "members"])
def test_a_setting_of_the_layer_that_is_not_given_has_its_default(left):
    spec = presets.spec("quick", "1-LR", 0)
    content = spec.content()
    del content["lr"][left]
    default = getattr(Regularizer(1.0, 1.0, 0), left)
    assert Spec.of(content) == replace(spec, lr=replace(spec.lr, **{left: default}))


CONTENT = presets.spec("quick", "1-LR", 0).content()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "missing"),
        ({name: value for name, value in CONTENT.items() if name != "seed"}, "'seed'"),
        (CONTENT | {"colour": "red"}, "'colour'"),
        (CONTENT | {"lr": CONTENT["lr"] | {"colour": "red"}}, "'colour'"),
        (CONTENT | {"lr": {"lambda_c": 1.0, "lambda_n": 1.0}}, "'from_epoch'"),
        (CONTENT | {"lr": None}, "expected LR settings for the variant '1-LR', got none"),
        (CONTENT | {"arch": "resnet"}, "expected an arch among"),
        (CONTENT | {"baseline": {}}, "expected no baseline's settings for the variant '1-LR'"),
        (CONTENT | {"lr": None, "variant": "SN"}, "expected a baseline's settings for the variant 'SN', got none"),
        (CONTENT | {"lr": None, "variant": "SN", "baseline": {"colour": "red"}}, "'colour'"),
        (CONTENT | {"lr": None, "variant": "SN", "baseline": {"steps": 1.5}}, "expected steps to be int, got 1.5"),
        (CONTENT | {"lr": None, "variant": "SN", "baseline": {"sparsity": 2}}, "expected a sparsity"),
        (CONTENT | {"lr": CONTENT["lr"] | {"start": "middle"}}, "start"),
        (CONTENT | {"lr": CONTENT["lr"] | {"ranks": [1, 2]}}, "expected a rank for each of avgpool"),
        (asdict(presets.spec("quick", "1-LR", 0)) | {"epochs": "many"}, "epochs"),
    ],
)
def test_a_content_that_is_no_specification_is_refused_in_one_sentence(content, said):
    with pytest.raises(ValueError) as refused:
        Spec.of(content)
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("start", ["middle", "", None])
def test_a_start_that_there_is_not_is_refused_before_any_training(start):
    with pytest.raises(ValueError, match=f"start among leading, random, got {start!r}"):
        replace(QUICK.lr, start=start)
