"""Latent space (the report's first method, its sections 2.1 and 3.2 to 3.5): classifiers of the codes of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lrlib import data, latent, metrics, presets
from lrlib.latent import AutoencoderSpec
from lrlib.results import Record
from lrlib.sections import adversaries
from lrlib.sections.adversaries import Start
from lrlib.sections.codes import APPROACHES, Coded, Coder
from lrlib.sections.measuring import Bench, keys
from lrlib.sections.parameters import PageParameters as Base
from lrlib.sections.parameters import parameter
from lrlib.specs import Spec

CLASSIFIERS = ("1L", "2L", "LRL")
IMAGE, TWIN = "image", "image, another seed"
COUNT = "a whole number from 1 on"


@dataclass(frozen=True)
class Parameters(Base):
    """Parameters of the page."""

    datasets: list[str] = parameter(
        "datasets of the classifiers and autoencoders",
        expected=f"one of {', '.join(data.names())} or {data.FOLDER}/path/to/tree",
        check=data.is_known,
    )
    latent: int = parameter("dimensions of the codes", expected=COUNT, check=lambda v: v >= 1)
    autoencoder_epochs: int = parameter("epochs of the autoencoders", expected=COUNT, check=lambda v: v >= 1)
    code_epochs: int = parameter("epochs of the classifiers of codes", expected=COUNT, check=lambda v: v >= 1)
    iterations: int = parameter(
        "steps of the projection of an image on the decoder's range", expected=COUNT, check=lambda v: v >= 1
    )
    adversaries: int = parameter("adversaries of each classifier", expected=COUNT, check=lambda v: v >= 1)

    @classmethod
    def defaults(cls, preset: str) -> dict[str, Any]:
        """The report's 32 dimensions, 150 epochs and 180 adversaries; fewer steps of the projection but at `paper`."""
        quick = preset == "quick"
        rest = {"seeds": [0, 1, 2], "datasets": ["digits"] if quick else ["mnist", "fashion-mnist"]}
        rest |= {"examples": 600 if quick else 10_000, "latent": 8 if quick else 32}
        rest |= {"autoencoder_epochs": 200 if quick else 20, "code_epochs": 150}
        return rest | {"iterations": 500 if preset == "paper" else 200, "adversaries": 180}


def classifiers(parameters: Parameters, seed: int, dataset: str) -> dict[str, Spec]:
    """The report's classifiers of images, by architecture."""
    return {arch: presets.classifier(parameters.preset, arch, seed, dataset=dataset) for arch in CLASSIFIERS}


def specs(parameters: Parameters) -> list[Spec]:
    """The models of the zoo that the measurement needs: the classifiers of images, each seed's and the next one's."""
    seeds = [one for seed in parameters.seeds for one in (seed, parameters.following(seed)) if one is not None]
    return [
        spec
        for seed in dict.fromkeys(seeds)
        for dataset in parameters.datasets
        for spec in classifiers(parameters, seed, dataset).values()
    ]


def autoencoder(parameters: Parameters, kind: str, seed: int, dataset: str) -> AutoencoderSpec:
    """What an autoencoder is trained from."""
    sizes = {"latent": parameters.latent, "hidden": 150, "epochs": parameters.autoencoder_epochs}
    return AutoencoderSpec(dataset, kind, seed=seed, **sizes)


def measure(parameters: Parameters, *, device: str = "auto", progress: bool = True) -> Record:
    """Accuracy, size of adversaries and transfer of the classifiers of images and of each kind of codes.

    Args:
        parameters: What to measure.
        device: Where.
        progress: Show a bar while a classifier of images is trained.

    Returns:
        The record, with rows of the report's figures 4, 5 and 6. The key ``code`` says what is classified; in figure 5
        ``space`` says whether codes or images were changed.
    """
    benches = [
        Bench("latent_space", parameters, device=device, dataset=name, progress=progress)
        for name in parameters.datasets
    ]
    run = benches[0].run
    for bench in benches:
        bench.run = run
        for seed in parameters.seeds:
            _seed(bench, parameters, seed)
    return run.record()


def _seed(bench: Bench, parameters: Parameters, seed: int) -> None:
    coded = _coded(bench, parameters, seed)
    for name, one in coded.items():
        stored = one.coder.stored
        about = {**keys(classifiers(parameters, seed, bench.dataset.name)["1L"]), "arch": stored.spec.kind}
        about |= {"width": stored.spec.hidden, "code": name, "sha256": stored.sha256}
        bench.run.add("report_figure4", "reconstruction_error", _reconstruction(one), n=len(bench.x), **about)
    for arch, spec in classifiers(parameters, seed, bench.dataset.name).items():
        begin, x_adv = _image_adversaries(bench, parameters, spec)
        for name, one in coded.items():
            about = {**keys(spec), "code": name}
            classifier = one.classifiers[arch]
            bench.run.add_accuracy("report_figure4", "accuracy", _right(classifier, one.test, bench.y), **about)
            _robustness(bench, parameters, one, classifier, about)
            _transfer(bench, classifier, one.coder(begin.x), one.coder(x_adv), begin.y, about)


def _image_adversaries(bench: Bench, parameters: Parameters, spec: Spec) -> tuple[Start, Tensor]:
    """The rows of a classifier of images, its adversaries and what they were made from."""
    model, about = bench.trained(spec).model, {**keys(spec), "code": IMAGE}
    bench.run.add_accuracy("report_figure4", "accuracy", _right(model, bench.x, bench.y), **about)
    begin = _start(bench, parameters, model, bench.x, spec.name)
    x_adv, done = adversaries.targeted(model, begin)
    if not done.any():
        raise ValueError(f"expected the attack to fool {spec.name} on some of {len(done)} images, got none")
    _size(bench, begin.x, x_adv, done, {**about, "space": "image"})
    begin, x_adv = begin.of(done), x_adv[done]
    following = parameters.following(spec.seed)
    if following is not None:
        twin = bench.trained(classifiers(parameters, following, spec.dataset)[spec.arch]).model
        _transfer(bench, twin, begin.x, x_adv, begin.y, {**about, "code": TWIN})
    return begin, x_adv


def _coded(bench: Bench, parameters: Parameters, seed: int) -> dict[str, Coded]:
    name = bench.dataset.name
    stored = {
        kind: latent.find_or_train(autoencoder(parameters, kind, seed, name), device=bench.device)
        for kind in latent.KINDS
    }
    like = presets.classifier(parameters.preset, "1L", seed, dataset=name)
    settings = {
        "archs": CLASSIFIERS,
        "classes": len(bench.dataset.classes),
        "width": like.width,
        "epochs": parameters.code_epochs,
        "batch_size": like.batch_size,
        "learning_rate": like.learning_rate,
        "seed": seed,
    }
    return {
        code: Coded(Coder(code, stored[kind], parameters.iterations, seed), bench, settings)
        for code, (kind, _) in APPROACHES.items()
    }


def _start(bench: Bench, parameters: Parameters, model: Any, x: Tensor, name: str) -> Start:
    classes = len(bench.dataset.classes)
    return adversaries.start(model, x, bench.y, parameters.adversaries, classes=classes, name=name)


def _right(model: Any, x: Tensor, y: Tensor) -> Any:
    return metrics.correct(model, x, y).cpu().numpy()


@torch.no_grad()
def _reconstruction(one: Coded) -> float:
    """Mean distance of a test image from the image of its code, relative to its norm."""
    x = one.bench.x
    return metrics.rho(x, one.coder.stored.model.decode(one.test).view_as(x)).item()


def _size(bench: Bench, x: Tensor, x_adv: Tensor, done: Tensor, about: dict[str, Any]) -> None:
    """Figure 5: how many attacks succeeded, and their mean relative size."""
    bench.run.add_accuracy("report_figure5", "success_rate", done.cpu().numpy(), **about)
    if done.any():
        rho = metrics.rho(x[done], x_adv[done]).item()
        bench.run.add("report_figure5", "rho", rho, n=int(done.sum()), **about)


def _robustness(bench: Bench, parameters: Parameters, one: Coded, classifier: nn.Module, about: dict[str, Any]) -> None:
    """Adversaries among codes, as the report has them, and among images."""
    begin = _start(bench, parameters, classifier, one.test, f"{about['arch']} on {one.coder.name}")
    z_adv, done = adversaries.targeted(classifier, begin, clip=False)
    _size(bench, begin.x, z_adv, done, {**about, "space": "code"})
    model = one.coder.stored.model
    if one.coder.projects:
        # An image that is moved as the decoder's image of its code is, and so projected to about the moved code.
        x = bench.x[begin.index]
        with torch.no_grad():
            x_adv = (x + (model.decode(z_adv) - model.decode(begin.x)).view_as(x)).clamp(0, 1)
        fooled = ~metrics.correct(classifier, one.coder(x_adv), begin.y)
    else:

        def composed(images: Tensor) -> Tensor:
            logits: Tensor = classifier(model.encode(images))
            return logits

        through = _start(bench, parameters, composed, bench.x, f"{about['arch']} on {one.coder.name}")
        x = through.x
        x_adv, fooled = adversaries.targeted(composed, through)
    _size(bench, x, x_adv, fooled, {**about, "space": "image"})


def _transfer(bench: Bench, model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor, about: dict[str, Any]) -> None:
    """Figure 6: accuracy on adversaries of the classifier of images, and on the images that they were made from.

    Both are codes where the model classifies codes.
    """
    bench.run.add_accuracy("report_figure6", "accuracy", _right(model, x, y), **about)
    bench.run.add_accuracy("report_figure6", "adversarial_accuracy", _right(model, x_adv, y), **about)
