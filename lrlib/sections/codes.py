"""The codes of a dataset's images in both autoencoders, and the three classifiers on each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from lrlib import latent
from lrlib.latent import Stored
from lrlib.sections.measuring import Bench

# The report's four, and the means of the variational encoder, from which its codes are drawn.
APPROACHES = {
    "AE encoding": ("AE", "encoding"),
    "AE projection": ("AE", "projection"),
    "VAE encoding": ("VAE", "encoding"),
    "VAE projection": ("VAE", "projection"),
    "VAE mean": ("VAE", "mean"),
}


@dataclass(frozen=True)
class Coder:
    """A way from images to codes.

    Attributes:
        name: One of :data:`APPROACHES`.
        stored: Its autoencoder.
        iterations: Steps of a projection.
        seed: Of the draws of encodings, and of the starts of projections.
    """

    name: str
    stored: Stored
    iterations: int
    seed: int

    @property
    def projects(self) -> bool:
        """Whether it projects on the range of the decoder."""
        return APPROACHES[self.name][1] == "projection"

    def __call__(self, x: Tensor) -> Tensor:
        """Codes ``(n, latent)`` of images ``(n, c, h, w)`` in [0, 1]; each call draws the same numbers."""
        generator = torch.Generator().manual_seed(self.seed)
        if self.projects:
            return latent.project(self.stored.model, x, iterations=self.iterations, generator=generator)
        with torch.no_grad():
            drawn = APPROACHES[self.name][1] == "encoding"
            return self.stored.model.draw(x, generator) if drawn else self.stored.model.encode(x)


@dataclass(frozen=True)
class Coded:
    """A way to codes with what follows from it for one dataset.

    Attributes:
        coder: The way.
        bench: Where the images are.
        settings: Of the classifiers, see ``latent.code_classifier``.
    """

    coder: Coder
    bench: Bench
    settings: Mapping[str, Any]

    @cached_property
    def test(self) -> Tensor:
        """Codes of the test images ``(n, latent)``."""
        return self.coder(self.bench.x)

    @cached_property
    def classifiers(self) -> dict[str, nn.Module]:
        """The classifiers of codes by architecture, trained on the codes of all training images."""
        x, y = self.bench.train_images()
        z = self.coder(x)
        settings = {name: value for name, value in self.settings.items() if name != "archs"}
        return {arch: latent.code_classifier(arch, z, y, **settings) for arch in self.settings["archs"]}
