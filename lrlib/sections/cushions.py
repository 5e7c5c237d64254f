"""Layer cushions of a network over training images: figures 4(c) and 12 to 15, and 17 to 20 on SVHN."""

from __future__ import annotations

import torch
from torch import Tensor

from lrlib import data, metrics
from lrlib.sections.measuring import Bench, keys
from lrlib.specs import Spec
from lrlib.zoo import Trained

# Figure 4(c): the last layer of the third and of the fourth block (of VGG19: of its last two), and the last FC layer.
CUSHIONED = {
    "resnet18": ("layer3.1.conv2", "layer4.1.conv2", "fc"),
    "resnet50": ("layer3.5.conv3", "layer4.2.conv3", "fc"),
    "vgg19": ("features.36", "features.49", "classifier.6"),
}
BLOCKS = ("layer1", "layer2", "layer3", "layer4")  # of ResNet-18; figures 12 to 15 are about one each
WITHIN = ("0.conv1", "0.conv2", "1.conv1", "1.conv2")  # the layers of a block
ON_SVHN = {  # the figures that the paper repeats on SVHN
    "figure4b": "figure16",
    "figure12": "figure17",
    "figure13": "figure18",
    "figure14": "figure19",
    "figure15": "figure20",
}
QUANTILES = [i / 20 for i in range(21)]
FEW = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]
MEDIAN = 0.5
RANDOM = "random"  # the network before training, in the place of a variant
STREAMED, BATCH = 1_024, 128  # images that are in memory as numbers, and in one forward pass


def name(spec: Spec) -> str:
    """What a network is called in the rows: its variant, or that it wasn't trained."""
    return spec.variant if spec.epochs else RANDOM


def figure(artefact: str, dataset: str) -> str:
    """The figure of the paper for a dataset, where it repeats one on SVHN."""
    return ON_SVHN.get(artefact, artefact) if dataset == "svhn" else artefact


def of_blocks(arch: str, dataset: str) -> dict[str, list[str]]:
    """The figures about all layers of a block of ResNet-18, with their taps; none for other architectures."""
    if arch != "resnet18":
        return {}
    taps = [[f"{block}.{layer}" for layer in WITHIN] for block in BLOCKS]
    return {figure(f"figure{12 + place}", dataset): own for place, own in enumerate(taps)}


def add_cushions(bench: Bench, one: Trained, n: int) -> None:
    """Add the quantiles of a network's cushions over the first training images.

    Figure 4(c) has twentieths, the figures about blocks have fewer. These also have the median of the mean over the
    block's layers, as the metric ``block_cushion``.

    Args:
        bench: Takes the rows.
        one: The network.
        n: How many images.
    """
    arch, dataset = one.spec.arch, one.spec.dataset
    blocks = of_blocks(arch, dataset)
    taps = dict.fromkeys([*CUSHIONED[arch], *(tap for own in blocks.values() for tap in own)])
    cushions = _cushions(bench, one, list(taps), n)
    for tap in CUSHIONED[arch]:
        _add(bench, one, "figure4c", "layer_cushion", tap, cushions[tap], QUANTILES)
    for artefact, own in blocks.items():
        for tap in own:
            _add(bench, one, artefact, "layer_cushion", tap, cushions[tap], FEW)
        mean = torch.stack([cushions[tap] for tap in own]).mean(dim=0)
        _add(bench, one, artefact, "block_cushion", own[0].partition(".")[0], mean, [MEDIAN])


def _add(
    bench: Bench, one: Trained, artefact: str, metric: str, tap: str, values: Tensor, quantiles: list[float]
) -> None:
    about = keys(one.spec) | {"variant": name(one.spec)}
    found = torch.quantile(values, torch.tensor(quantiles, dtype=torch.float64)).tolist()
    for quantile, value in zip(quantiles, found, strict=True):
        bench.run.add(artefact, metric, value, n=len(values), **about, tap=tap, quantile=quantile)


def _cushions(bench: Bench, one: Trained, taps: list[str], n: int) -> dict[str, Tensor]:
    """The cushions of each image at the taps, ``(n,)`` each, on the CPU; the images are streamed."""
    parts = []
    for images in torch.split(bench.dataset.x_train[:n], STREAMED):
        x = data.as_float(images.to(bench.device))
        parts.append(metrics.layer_cushions(one.model, taps, x, norm="positions", batch_size=BATCH))
    return {tap: torch.cat([part[tap] for part in parts]).cpu() for tap in taps}
