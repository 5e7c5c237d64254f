"""The networks that come with the repository: whole, small, and those that the committed records were measured on."""

import hashlib
import json
from itertools import product

import pytest
from safetensors.torch import load_file

from lrlib import presets, results, sections, zoo
from lrlib.latent.autoencoders import KINDS
from lrlib.latent.store import AutoencoderSpec
from lrlib.specs import Spec

ABOUT = sorted(zoo.ZOO.glob("*.json"))
AUTOENCODERS = [about for about in ABOUT if "kind" in json.loads(about.read_text())["spec"]]
NETWORKS = [about for about in ABOUT if about not in AUTOENCODERS]
RECORDS = [(page, "small") for page in sections.PAGES if results.path(page, "small").exists()]


@pytest.mark.parametrize("about", NETWORKS, ids=lambda path: path.stem)
def test_a_network_of_the_zoo_is_whole_and_small_and_what_its_name_says(about):
    history, weights = json.loads(about.read_text()), about.with_suffix(".safetensors")
    assert history.pop("digest") == zoo._digest(history)
    assert Spec.of(history["spec"]).name == about.stem
    assert weights.stat().st_size <= 2_000_000
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == history["sha256"]
    assert {str(value.dtype) for value in load_file(weights).values()} <= {"torch.float16", "torch.int64"}


@pytest.mark.parametrize("about", AUTOENCODERS, ids=lambda path: path.stem)
def test_an_autoencoder_of_the_zoo_is_whole_and_small_and_what_its_name_says(about):
    history, weights = json.loads(about.read_text()), about.with_suffix(".safetensors")
    assert AutoencoderSpec(**history["spec"]).name == about.stem
    assert weights.stat().st_size <= 2_000_000
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == history["sha256"]


def test_every_autoencoder_of_the_small_record_is_in_the_zoo():
    section = sections.get("latent_space")
    parameters = section.Parameters.of("small")
    wanted = [
        section.autoencoder(parameters, kind, seed, dataset).name
        for kind, seed, dataset in product(KINDS, parameters.seeds, parameters.datasets)
    ]
    assert sorted(wanted) == [about.stem for about in AUTOENCODERS]


def test_the_zoo_holds_nothing_else():
    expected = {path.with_suffix(suffix) for path in ABOUT for suffix in (".json", ".safetensors")}
    assert {path for path in zoo.ZOO.glob("*") if path.name != "README.md"} == expected


@pytest.mark.parametrize("page, preset", RECORDS)
def test_every_trained_network_of_a_small_record_is_in_the_zoo_as_it_was_measured(page, preset):
    untrained = {presets.random_network(presets.spec(preset, "N-LR", seed)).name for seed in range(10)}
    for run in results.load(results.path(page, preset)).runs:
        for name in run["models"].keys() - untrained:
            history = json.loads((zoo.ZOO / f"{name}.json").read_text())
            assert history["sha256"] == run["models"][name]["sha256"]


def test_the_zoo_is_for_the_preset_small():
    for about in NETWORKS:
        spec = Spec.of(json.loads(about.read_text())["spec"])
        report = sections.get("svd_truncation").Parameters.of("small").datasets
        assert spec.dataset in (presets.get("small").network.dataset, *report)
