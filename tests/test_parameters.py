"""Parameters of the pages: names, types, ranges, texts."""

from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrlib import models, presets, sections
from lrlib.sections.measuring import NetworkParameters
from lrlib.sections.parameters import PageParameters, Parameters, SeededParameters, is_radius, parameter

BOOK = (*sections.PAGES, *sections.STANDING)
OF_NETWORKS = [page for page in BOOK if issubclass(sections.get(page).Parameters, NetworkParameters)]


@dataclass(frozen=True)
class Example(PageParameters):
    """One parameter of each type."""

    count: int = parameter("a count", expected="a whole number from 1 to 9", check=lambda v: 1 <= v <= 9)
    share: float = parameter("a share", expected="a number in [0, 1]", check=lambda v: 0 <= v <= 1)
    shares: list[float] = parameter("shares", expected="numbers in [0, 1]", check=lambda v: 0 <= v <= 1)
    eps: list[str] = parameter("radii", expected="radii in (0, 1] such as 8/255", check=is_radius)
    flag: bool = parameter("a flag", expected="true or false", check=lambda v: True)

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        count = {"quick": 1, "small": 2, "paper": 3}[preset]
        rest = {"seeds": [0], "examples": 10, "share": 0.5, "shares": [0.0, 1.0], "eps": ["8/255"], "flag": False}
        return {"count": count, **rest}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("seeds", "0,1", [0, 1]),
        ("seeds", "[0, 1]", [0, 1]),
        ("seeds", " 0 , 1 ", [0, 1]),
        ("seeds", "7", [7]),
        ("count", "3", 3),
        ("share", "0.25", 0.25),
        ("share", "1e-3", 0.001),
        ("share", "1", 1.0),
        ("shares", "0,0.5,1", [0.0, 0.5, 1.0]),
        ("shares", "[0.5]", [0.5]),
        ("eps", "8/255", ["8/255"]),
        ("eps", "8/255, 0.1", ["8/255", "0.1"]),
        ("eps", '["8/255", "16/255"]', ["8/255", "16/255"]),
        ("flag", "true", True),
        ("flag", "True", True),
        ("flag", "false", False),
    ],
)
def test_a_text_becomes_a_value_of_the_parameters_type(name, text, value):
    found = getattr(Example.parse({name: text}), name)
    assert found == value and type(found) is type(value)
    if isinstance(value, list):
        assert [type(one) for one in found] == [type(one) for one in value]


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("seeds", "a", 'expected seeds to be a list of whole numbers, got "a"'),
        ("seeds", "0,x", 'expected seeds to be a list of whole numbers, got "x"'),
        ("seeds", "", 'expected seeds to be a list of whole numbers, got ""'),
        ("seeds", "[]", "expected seeds to be a list of whole numbers that is not empty, got []"),
        ("seeds", "[0", 'expected seeds to be a list of whole numbers, got "[0"'),
        ("seeds", "[[0]]", "expected seeds to be a list of whole numbers, got [[0]]"),
        ("seeds", "0.5", "expected seeds to be a list of whole numbers, got [0.5]"),
        ("seeds", "true", "expected seeds to be a list of whole numbers, got [true]"),
        ("seeds", "0,0", "expected seeds without repetitions, got [0, 0]"),
        ("seeds", "-1", "expected seeds to be whole numbers from 0 to 4294967295, got [-1]"),
        ("seeds", "4294967296", "expected seeds to be whole numbers from 0 to 4294967295, got [4294967296]"),
        ("count", "true", "expected count to be a whole number, got true"),
        ("count", "1.0", "expected count to be a whole number, got 1.0"),
        ("count", "NaN", "expected count to be a whole number, got NaN"),
        ("count", "1,2", 'expected count to be a whole number, got "1,2"'),
        ("count", "10", "expected count to be a whole number from 1 to 9, got 10"),
        ("count", "null", None),
        ("share", "NaN", "expected share to be a number in [0, 1], got NaN"),
        ("share", "Infinity", "expected share to be a number in [0, 1], got Infinity"),
        ("share", "1e999", "expected share to be a number in [0, 1], got Infinity"),
        ("share", '"a"', 'expected share to be a number, got "a"'),
        ("share", "true", "expected share to be a number, got true"),
        ("shares", "0,-0.0", "expected shares without repetitions, got [0, -0.0]"),
        ("shares", "0.5,2", "expected shares to be numbers in [0, 1], got [0.5, 2]"),
        ("eps", "1/0", 'expected eps to be radii in (0, 1] such as 8/255, got ["1/0"]'),
        ("eps", "8/255,NaN", 'expected eps to be radii in (0, 1] such as 8/255, got ["8/255", "NaN"]'),
        ("eps", "[0.1]", "expected eps to be a list of texts, got [0.1]"),
        ("flag", "yes", 'expected flag to be true or false, got "yes"'),
        ("flag", "1", "expected flag to be true or false, got 1"),
        ("preset", "huge", "expected a preset among quick, small, paper, got 'huge'"),
        (
            "seed",
            "0",
            "expected parameters among preset, seeds, examples, count, share, shares, eps, flag, got seed",
        ),
    ],
)
def test_a_bad_text_is_refused_with_what_was_expected_and_what_came(name, text, fault):
    if fault is None:  # JSON's null is no value: the default stays
        assert Example.parse({name: text}) == Example.of("quick")
        return
    with pytest.raises(ValueError) as refused:
        Example.parse({name: text})
    assert str(refused.value) == fault


@pytest.mark.parametrize("value", ["0", 0, {0}, {"a": 1}, [None]])
def test_a_value_that_is_no_list_is_refused_for_one(value):
    with pytest.raises(ValueError, match=r"^expected seeds to be a list of whole numbers( that is not empty)?, got "):
        Example.of("quick", seeds=value)


def test_a_tuple_counts_as_a_list():
    assert Example.of("quick", seeds=(1, 2)).seeds == [1, 2]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, unique=True))
def test_a_list_of_whole_numbers_reads_the_same_both_ways(seeds):
    assert Example.parse({"seeds": ",".join(map(str, seeds))}).seeds == Example.parse({"seeds": str(seeds)}).seeds


def test_none_is_the_presets_default():
    assert Example.of("small", count=None) == Example.of("small")
    assert Example.of("small").count == 2 and Example.of("small", count=5).count == 5
    assert Example.parse({"preset": "paper"}).count == 3


def test_only_the_presets_own_values_are_at_its_defaults():
    assert Example.of("quick").at_defaults() and Example.of("small").at_defaults()
    assert Example.of("quick", count=1, shares=[0, 1]).at_defaults()
    assert not Example.of("quick", count=2).at_defaults()


def test_the_presets_first_seed_is_there_only_among_the_seeds():
    kind = sections.get("adversarial").Parameters
    assert kind.of("quick", seeds=[2, 0]).first_seed() == 0
    assert kind.of("quick", seeds=[1, 2]).first_seed() is None


def test_one_parameter_can_be_read_alone():
    assert SeededParameters.one("seeds", "3,4") == [3, 4]
    with pytest.raises(ValueError, match=r"^expected seeds to be whole numbers from 0 to 4294967295, got \[-1\]$"):
        SeededParameters.one("seeds", "-1")


@pytest.mark.parametrize("page", BOOK)
@pytest.mark.parametrize("preset", list(presets.PRESETS))
def test_a_pages_defaults_pass_their_own_checks(page, preset):
    cls = sections.get(page).Parameters
    parameters = cls.of(preset)
    assert parameters.preset == preset and parameters.at_defaults()
    assert cls.of(**parameters.content()) == parameters
    assert {"preset", *cls.shared(preset), *cls.defaults(preset)} == {one.name for one in fields(cls)}
    assert not cls.shared(preset).keys() & cls.defaults(preset).keys()


def lists(parameters):
    return {one.name for one in fields(parameters) if isinstance(getattr(parameters, one.name), list)}


@pytest.mark.parametrize("page", BOOK)
def test_defaults_of_one_caller_are_not_those_of_another(page):
    cls = sections.get(page).Parameters
    for name in lists(cls.of("quick")):
        getattr(cls.of("quick"), name).append(99)
        assert 99 not in getattr(cls.of("quick"), name)


@pytest.mark.parametrize("page", BOOK)
def test_the_table_shows_every_parameter_with_its_meaning(page):
    cls = sections.get(page).Parameters
    given = {"widths": [7]} if page == "benchmarks" else {"seeds": [7]}
    ((name, _),) = given.items()
    table = cls.of("quick", **given).table()
    assert [row["parameter"] for row in table] == [one.name for one in fields(cls)]
    assert all(row["meaning"] and row["type"] for row in table)
    shown = next(row for row in table if row["parameter"] == name)
    assert shown["value"] == "[7]" and shown["default at quick"] != "[7]"


def test_only_pages_that_measure_images_take_seeds_and_examples():
    names = {page: {one.name for one in fields(sections.get(page).Parameters)} for page in BOOK}
    assert {one.name for one in fields(Parameters)} == {"preset"}
    assert {page for page in BOOK if "seeds" not in names[page]} == {"benchmarks"}
    assert {page for page in BOOK if "examples" not in names[page]} == {"benchmarks", "training"}
    assert {page for page in BOOK if {"arch", "dataset", "epochs"} <= names[page]} == set(OF_NETWORKS)
    of_the_report = {"svd_truncation", "latent_space"}
    assert set(OF_NETWORKS) == {*sections.PAPER, "controls", "calibration", "audit"} - of_the_report


def needed(page, parameters):
    """The models of a measurement, also of a page that measures only if it is told to."""
    told = replace(parameters, measure=True) if hasattr(parameters, "measure") else parameters
    return sections.get(page).specs(told)


# The networks that a page is about


@pytest.mark.parametrize("page", OF_NETWORKS)
@pytest.mark.parametrize("preset", list(presets.PRESETS))
def test_a_pages_network_is_the_presets_own_unless_another_is_asked_for(page, preset):
    cls, network = sections.get(page).Parameters, presets.get(preset).network
    parameters = cls.of(preset)
    assert (parameters.arch, parameters.dataset, parameters.epochs) == (network.arch, network.dataset, network.epochs)
    assert parameters.spec("2-LR", 3) == presets.spec(preset, "2-LR", 3)
    other = cls.of(preset, arch="vgg19", dataset="svhn", epochs=2)
    assert other.spec("1-LR", 0) == presets.spec(preset, "1-LR", 0, arch="vgg19", dataset="svhn", epochs=2)
    assert {(spec.arch, spec.dataset) for spec in needed(page, other)} == {("vgg19", "svhn")}


@pytest.mark.parametrize("page", BOOK)
def test_a_presets_record_is_about_its_own_network_first(page):
    cls = sections.get(page).Parameters
    for preset, chosen in presets.PRESETS.items():
        own = {"arch": chosen.network.arch, "dataset": chosen.network.dataset}
        others = [{"arch": arch, "dataset": dataset} for arch, dataset in chosen.others]
        about = [own] if page in ("controls", "calibration") else [own, *others]
        assert cls.networks(preset) == (about if page in OF_NETWORKS else [{}])


@pytest.mark.parametrize("page", OF_NETWORKS)
def test_a_schedule_is_shortened_by_fewer_epochs_than_the_presets_alone(page):
    cls, whole = sections.get(page).Parameters, presets.get("small").network.epochs
    for epochs in (whole - 1, whole, whole + 1):
        parameters = cls.of("small", epochs=epochs)
        assert parameters.shortening() == ({"epochs": epochs, "of": whole} if epochs < whole else None)
        models = [spec for spec in needed(page, parameters) if spec.variant != "PGD-trained"]  # its schedule is shorter
        trained = {spec.epochs for spec in models} - {0}
        assert trained == {min(epochs, whole)}


@pytest.mark.parametrize("preset", list(presets.PRESETS))
def test_the_untrained_networks_of_a_shortened_schedule_are_those_of_the_whole_one(preset):
    section = sections.get("noise_stability")
    specs = {epochs: section.specs(section.Parameters.of(preset, epochs=epochs)) for epochs in (3, None)}
    random = {epochs: {spec for spec in own if spec.epochs == 0} for epochs, own in specs.items()}
    assert random[3] == random[None] == {presets.random_network(presets.spec(preset, "N-LR", s)) for s in range(3)}


@pytest.mark.parametrize("page", OF_NETWORKS)
@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"arch": "1L"}, 'expected arch to be one of resnet18, resnet50, vgg19, got "1L"'),
        ({"arch": 18}, "expected arch to be a text, got 18"),
        (
            {"dataset": "cifar"},
            'expected dataset to be one of digits, cifar10, .* or folder:/path/to/tree, got "cifar"',
        ),
        ({"epochs": 0}, "expected epochs to be a whole number from 1 on, got 0"),
    ],
)
def test_a_network_that_there_is_not_is_refused(page, given, fault):
    with pytest.raises(ValueError, match=f"^{fault}$"):
        sections.get(page).Parameters.of("quick", **given)


def test_every_architecture_with_places_for_lr_layers_may_be_asked_for():
    assert set(models.PLACED) == {arch for arch in models.ARCHS if models.places(arch)}
    for arch in models.PLACED:
        assert sections.get("adversarial").Parameters.of("quick", arch=arch).arch == arch


@pytest.mark.parametrize(
    ("page", "shown", "kept"),
    [
        ("training", {"measure": True}, True),
        ("training", {"parts": ["parity"]}, True),
        ("training", {"measure": True, "parity_epochs": 1}, False),
        ("training", {"seeds": [0]}, False),
        ("benchmarks", {"measure": True}, True),
        ("benchmarks", {"measure": True, "rounds": 1}, False),
        ("audit", {"measure": True}, True),
        ("calibration", {"measure": True, "screened": 7}, False),
    ],
)
def test_measuring_anew_at_the_defaults_makes_the_presets_record(page, shown, kept):
    assert sections.get(page).Parameters.of("quick", **shown).at_defaults() is kept


@pytest.mark.parametrize(
    ("page", "given", "fault"),
    [
        ("effective_rank", {"examples": 5}, "expected examples to be at least 20, the number of directions, got 5"),
        ("compression", {"train_examples": 19}, "expected dim of at most 19, the number of training images, got 20"),
        ("calibration", {"seeds": [0, 1]}, "expected one seed, for the fit is to one network, got 2"),
        ("calibration", {"screened": 301}, "expected screened to be at most 300, the examples, got 301"),
        ("audit", {"steps": [20, 200]}, r"expected three numbers of steps, from few to many, got \[20, 200\]"),
        ("audit", {"steps": [20, 9, 200]}, r"expected three numbers of steps, from few to many, got \[20, 9, 200\]"),
        ("audit", {"examples": 32}, "expected costly to be at most 32, the examples, got 64"),
        ("audit", {"radii": ["1", "8/255"]}, "expected radii from small to large, got 1, 8/255"),
        ("adversarial", {"search_step": "1/1000"}, r'expected search_step to be a number in \[0.002, 1\] .*"1/1000"'),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(page, given, fault):
    with pytest.raises(ValueError, match=f"^{fault}$"):
        sections.get(page).Parameters.of("quick", **given)


@pytest.mark.parametrize("text", ["0", "-8/255", "256/255", "nan", "inf", "eight", "", "8/0", "8/", "/255", "1/2/3"])
def test_what_is_no_radius(text):
    assert not is_radius(text)


@pytest.mark.parametrize("text", ["8/255", "1", "255/255", "0.03", "1e-3", "0.5/255", " 8 / 255 "])
def test_what_is_a_radius(text):
    assert is_radius(text)
