"""Networks of a few channels that are trained in a second, and what every page measures on them."""

from dataclasses import replace

import matplotlib.pyplot as plt
import pytest

from lrlib import presets, provenance, sections
from lrlib.results import Record
from lrlib.sections import perturbations
from lrlib.specs import Regularizer

TINY = {
    "effective_rank": {"seeds": [0, 1], "examples": 40, "directions": 10, "rank": 4},
    "adversarial": {
        "seeds": [0, 1],
        "examples": 40,
        "eps": ["8/255", "16/255"],
        "steps": [7],
        "ladder": ["16/255"],
        "searched": 8,
        "search_step": "16/255",
        "search_steps": 4,
        "gallery": 2,
    },
    "noise_stability": {
        "seeds": [0, 1],
        "examples": 40,
        "probability": [0.4, 1.0],
        "eps": ["8/255"],
        "steps": 2,
        "attacked": 20,
        "cushion_examples": 30,
    },
    "compression": {
        "seeds": [0, 1],
        "examples": 40,
        "dim": [20, 5],
        "train_examples": 200,
        "attacked": 40,
        "reach": "64/255",
        "step_size": "32/255",
        "eps": ["16/255"],
        "steps": 2,
    },
    "svd_truncation": {
        "seeds": [0, 1],
        "examples": 60,
        "fraction": [0.0, 0.5, 1.0],
        "datasets": ["digits"],
        "scale": [0.1, 0.0],
        "adversaries": 10,
        "compared": True,
        "network_fraction": [0.0, 0.5],
        "network_examples": 40,
        "attacked": 8,
        "eps": "16/255",
        "steps": 2,
    },
    "latent_space": {
        "seeds": [0, 1],
        "examples": 60,
        "datasets": ["digits"],
        "latent": 6,
        "autoencoder_epochs": 40,
        "code_epochs": 40,
        "iterations": 20,
        "adversaries": 10,
    },
    "lr_layer": {
        "seeds": [0, 1],
        "examples": 40,
        "features": 16,
        "rank": 2,
        "before": 5,
        "steps": 20,
        "shown": [0, 20],
        "directions": 6,
        "size": 32,
    },
    "controls": {
        "seeds": [0],
        "examples": 40,
        "rank": [2],
        "eps": ["8/255"],
        "steps": 2,
        "probability": [1.0],
        "attacked": 8,
    },
}


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def _shrink(monkeypatch, models):
    quick = presets.PRESETS["quick"]
    network = replace(quick.network, width=4, epochs=1, batch_size=256)
    lr = Regularizer(lambda_c=0.3, lambda_n=0.03, from_epoch=0)
    monkeypatch.setitem(presets.PRESETS, "quick", replace(quick, network=network, lr=lr, lr_of={}))
    monkeypatch.setenv("LRLIB_MODELS", str(models))
    for name, steps in {"MOST": 8, "LADDER_STEPS": 3, "PATH_STEPS": 5}.items():
        monkeypatch.setattr(perturbations, name, steps)


@pytest.fixture
def tiny(monkeypatch, tiny_models):
    """The preset quick with networks of width 4, trained for an epoch; their folder is shared by all tests."""
    _shrink(monkeypatch, tiny_models)


@pytest.fixture(scope="session")
def measured(tiny_models) -> dict[str, Record]:
    """The record of every page on the tiny networks."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        _shrink(monkeypatch, tiny_models)
        return {
            page: sections.get(page).measure(sections.get(page).Parameters.of("quick", **given), progress=False)
            for page, given in TINY.items()
        }


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    plt.close("all")


@pytest.fixture
def row():
    """A row of a record, made by hand."""

    def make(artefact, metric, value, *, variant="N-LR", seed=0, **keys):
        about = {"dataset": "digits", "arch": "resnet18", "width": 16, "variant": variant, "seed": seed}
        return {"artefact": artefact, **about, **keys, "metric": metric, "value": value, "n": 100, "run": "r"}

    return make


@pytest.fixture
def record_of():
    """A record of rows made by hand."""

    def make(rows, *, page="adversarial", preset="quick", **parameters):
        run = {
            "id": "r",
            "parameters": {"preset": preset, "seeds": sorted({row["seed"] for row in rows}), "examples": 100}
            | parameters,
            "shortened": None,
            "sources": provenance.sources(f"lrlib.sections.{page}"),
            "commit": "0123456789abcdef",
            "device": "a processor, 2 threads",
            "packages": {"torch": "2.11.0"},
            "started": "2026-11-21T08:45:20+00:00",
            "seconds": 12.3,
            "datasets": {"digits": "0"},
            "models": {"one": {"seconds": 100.0}, "two": {"seconds": 200.0}},
        }
        return Record(page, preset, [run], rows)

    return make
