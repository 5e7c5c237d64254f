"""The networks that come with the repository: whole, small, and those that the committed records were measured on."""

import hashlib
import json

import pytest
from safetensors.torch import load_file

from lrlib import presets, results, sections, zoo
from lrlib.specs import Spec

ABOUT = sorted(zoo.ZOO.glob("*.json"))
RECORDS = [(page, "small") for page in sections.PAGES if results.path(page, "small").exists()]


@pytest.mark.parametrize("about", ABOUT, ids=lambda path: path.stem)
def test_a_network_of_the_zoo_is_whole_and_small_and_what_its_name_says(about):
    history, weights = json.loads(about.read_text()), about.with_suffix(".safetensors")
    assert history.pop("digest") == zoo._digest(history)
    assert Spec.of(history["spec"]).name == about.stem
    assert weights.stat().st_size <= 2_000_000
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == history["sha256"]
    assert {str(value.dtype) for value in load_file(weights).values()} <= {"torch.float16", "torch.int64"}


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
    for about in ABOUT:
        spec = Spec.of(json.loads(about.read_text())["spec"])
        report = sections.get("svd_truncation").Parameters.of("small").datasets
        assert spec.dataset in (presets.get("small").network.dataset, *report)
