"""The networks: torchvision's own ResNet-18, ResNet-50 and VGG19, fitted to small images, and the SVD report's.

Each takes ``x`` in [0, 1] and normalises inside. The paper's have a CIFAR stem (a 3x3 convolution of stride 1 and no
max-pool in the residual networks) and a ``width``: 64 is the published network, 16 has a quarter of the channels
everywhere. The report's classifiers 1L, 2L and LRL are linear layers of ``width`` hidden units on raw pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torchvision.models import VGG, ResNet
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.vgg import cfgs, make_layers

Arch = Literal["resnet18", "resnet50", "vgg19", "1L", "2L", "LRL"]
Variant = Literal["N-LR", "1-LR", "2-LR", "Bottle-1LR", "Bottle-2LR", "SNIP", "SRN", "SN", "PGD-trained"]
ARCHS: tuple[Arch, ...] = get_args(Arch)
VARIANTS: tuple[Variant, ...] = get_args(Variant)

LINEAR = ("1L", "2L", "LRL")
REGULARIZED = ("1-LR", "2-LR")
BASELINES = ("SNIP", "SRN", "SN", "PGD-trained")
FULL_WIDTH = 64
_BLOCKS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], list[int]]] = {
    "resnet18": (BasicBlock, [2, 2, 2, 2]),
    "resnet50": (Bottleneck, [3, 4, 6, 3]),
}
# Where the paper puts its LR layers, the last one first, and the target rank over the activations it is stated for
# (sections 3 and C): 100 before the last FC layer and 500 of 16,384 before the fourth block. VGG19's are before the
# third and the first FC layer, both of rank 100.
_TAPS: dict[str, tuple[tuple[str, float], tuple[str, float]]] = {
    "resnet18": (("avgpool", 100 / 512), ("layer3", 500 / 16_384)),
    "resnet50": (("avgpool", 100 / 2_048), ("layer3", 500 / 65_536)),
    "vgg19": (("classifier.4", 100 / 512), ("avgpool", 100 / 512)),
}
PLACED: tuple[str, ...] = tuple(_TAPS)  # the architectures that have places for LR layers


class Normalize(nn.Module):
    """Subtracts the mean and divides by the standard deviation of each channel, both in [0, 1] units."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, h, w)`` to the same shape."""
        return (x - self.mean) / self.std


class Bottle(nn.Module):
    r"""The explicit bottleneck :math:`W = W_l W_l^\top` of rank at most ``rank`` (section 3.1, "Bottle-LR").

    Unlike the LR layer it is part of the network: activations ``(n, ...)`` are replaced by their image under ``W``.
    """

    def __init__(self, features: int, rank: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(features, rank)))

    def forward(self, a: Tensor) -> Tensor:
        """``(n, ...)`` with ``features`` numbers an example, to the same shape."""
        return (a.flatten(1) @ self.weight @ self.weight.T).view_as(a)


def build(
    arch: str,
    *,
    classes: int,
    width: int = FULL_WIDTH,
    variant: str = "N-LR",
    channels: int = 3,
    size: int = 32,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> nn.Module:
    """A network of the paper.

    N-LR, 1-LR, 2-LR and :data:`BASELINES` are one network: they differ in how it is trained, the LR layers being
    virtual. The Bottle variants have their bottlenecks inside.

    Args:
        arch: One of :data:`ARCHS`.
        classes: Number of classes, at least 2.
        width: Channels of the first convolution; 64 is the published network.
        variant: One of :data:`VARIANTS`.
        channels: Channels of the images.
        size: Height and width of the images in pixels; VGG19 needs at least 32.
        mean: Mean of each channel in [0, 1] units; 0.5 unless given, unused by the linear classifiers.
        std: Standard deviation of each channel in [0, 1] units; 0.25 unless given, likewise.

    Returns:
        A module that maps ``x`` ``(n, channels, size, size)`` in [0, 1] to logits ``(n, classes)``.

    Raises:
        ValueError: If an argument is not among the possible ones.

    Example:
        >>> build("resnet18", classes=10, width=4)(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """
    _check(arch, classes, width, variant, size)
    if arch in LINEAR:
        return _linear(arch, classes, width, channels * size**2)
    normalize = Normalize([0.5] * channels if mean is None else mean, [0.25] * channels if std is None else std)
    if arch == "vgg19":
        model: nn.Module = _vgg(classes, width, channels, normalize)
    else:
        model = _resnet(arch, classes, width, channels, normalize)
    if variant.startswith("Bottle"):
        _insert_bottles(model, arch, variant, channels, size)
    return model


def taps(arch: str, variant: str) -> tuple[str, ...]:
    """Names of the modules after which the variant's LR layers or bottlenecks sit, the last one first.

    Raises:
        ValueError: If the variant is unknown, or the architecture has no place for it.
    """
    if variant not in VARIANTS:
        raise ValueError(f"expected a variant among {', '.join(VARIANTS)}, got {variant!r}")
    needed = {"1": 1, "2": 2}.get(variant.removeprefix("Bottle-")[0], 0)
    found = places(arch)
    if len(found) < needed:
        raise ValueError(f"expected the variant N-LR for {arch}, which has no place for LR layers, got {variant!r}")
    return found[:needed]


def places(arch: str) -> tuple[str, ...]:
    """The two taps of the paper, before the last FC layer and the earlier one; none in the report's classifiers."""
    if arch not in ARCHS:
        raise ValueError(f"expected an arch among {', '.join(ARCHS)}, got {arch!r}")
    return tuple(tap for tap, _ in _TAPS.get(arch, ()))


def target_rank(arch: str, tap: str, features: int) -> int:
    """The paper's target rank at a tap, shrunk with the number of features there, at least 1.

    Args:
        arch: One of :data:`ARCHS`.
        tap: One of :func:`places`.
        features: Number of activations ``m`` there.

    Raises:
        ValueError: If the architecture is unknown or the tap is not one of the paper's.

    Example:
        >>> target_rank("resnet18", "avgpool", 512), target_rank("resnet18", "avgpool", 128)
        (100, 25)
    """
    if tap not in places(arch):
        raise ValueError(f"expected a tap of {arch} among {', '.join(places(arch)) or 'none'}, got {tap!r}")
    return max(1, round(dict(_TAPS[arch])[tap] * features))


def widths(model: nn.Module, taps: Sequence[str], *, channels: int, size: int) -> dict[str, int]:
    """Number of activations ``m`` at each tap, for images of that shape."""
    found: dict[str, int] = {}
    modules = dict(model.named_modules())
    handles = [
        modules[tap].register_forward_hook(lambda _m, _i, out, tap=tap: found.update({tap: out.flatten(1).shape[1]}))
        for tap in taps
    ]
    was_training, device = model.training, next(model.parameters()).device
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, channels, size, size, device=device))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return found


def append(model: nn.Module, tap: str, module: nn.Module) -> None:
    """Put a module behind the one at a tap, in the place that both then take together."""
    parent, _, name = tap.rpartition(".")
    setattr(model.get_submodule(parent), name, nn.Sequential(model.get_submodule(tap), module))


def _resnet(arch: str, classes: int, width: int, channels: int, normalize: Normalize) -> ResNet:
    block, layers = _BLOCKS[arch]
    with torch.device("meta"):  # torchvision builds the full width; every layer with parameters is replaced below
        model = ResNet(block, layers)
    model.inplanes = width
    model.conv1 = nn.Sequential(normalize, nn.Conv2d(channels, width, 3, padding=1, bias=False))
    model.bn1 = nn.BatchNorm2d(width)
    model.maxpool = nn.Identity()
    for i, blocks in enumerate(layers):
        setattr(model, f"layer{i + 1}", model._make_layer(block, width * 2**i, blocks, stride=1 if i == 0 else 2))
    model.fc = nn.Linear(8 * width * block.expansion, classes)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def _vgg(classes: int, width: int, channels: int, normalize: Normalize) -> VGG:
    layout = [one if isinstance(one, str) else one * width // FULL_WIDTH for one in cfgs["E"]]
    features = make_layers(layout, batch_norm=True)
    first = nn.Conv2d(channels, width, 3, padding=1)
    features[0] = nn.Sequential(normalize, first)
    with torch.device("meta"):  # the full classifier has 120 million weights, replaced below
        model = VGG(nn.Identity(), init_weights=False)
    hidden = 8 * width
    model.features, model.avgpool = features, nn.AdaptiveAvgPool2d(1)
    model.classifier = nn.Sequential(
        *(nn.Linear(hidden, hidden), nn.ReLU(True), nn.Dropout()),
        *(nn.Linear(hidden, hidden), nn.ReLU(True), nn.Dropout()),
        nn.Linear(hidden, classes),
    )
    for module in model.features.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def _linear(arch: str, classes: int, width: int, pixels: int) -> nn.Sequential:
    if arch == "1L":
        return nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes))
    between = [nn.ReLU()] if arch == "LRL" else []
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), *between, nn.Linear(width, classes))


def _insert_bottles(model: nn.Module, arch: str, variant: str, channels: int, size: int) -> None:
    for tap, features in widths(model, taps(arch, variant), channels=channels, size=size).items():
        append(model, tap, Bottle(features, target_rank(arch, tap, features)))


def _check(arch: str, classes: int, width: int, variant: str, size: int) -> None:
    taps(arch, variant)
    if classes < 2:
        raise ValueError(f"expected at least 2 classes, got classes={classes}")
    if width < 1:
        raise ValueError(f"expected a width of at least 1 channel, got width={width}")
    if arch == "vgg19" and size < 32:
        raise ValueError(f"expected images of at least 32x32 pixels for vgg19's five poolings, got size={size}")
