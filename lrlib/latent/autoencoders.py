"""The report's autoencoders, and the projection of images onto the range of a decoder (its sections 2.1 and 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KINDS = ("AE", "VAE")
_BATCH = 500  # images that are projected at a time: what a step needs of them fits into a processor's cache
_STEP = 1.0  # of Adam at the first iteration, in units of the code; it shrinks linearly to none


class Autoencoder(nn.Module):
    """A plain or variational autoencoder of gray or colour images.

    The plain one has one hidden layer, the code, with leaky ReLU. The variational one has a hidden layer with leaky
    ReLU on either side of its code, which is linear: its encoder gives mean and log variance of a Gaussian (Kingma and
    Welling, 2013). Pixels come out of a sigmoid.

    Args:
        kind: One of :data:`KINDS`.
        pixels: Numbers an image, at least 1.
        latent: Numbers a code, at least 1; the report has 32.
        hidden: Units on either side of the variational one's code, at least 1; the report has 150.

    Raises:
        ValueError: If an argument is not among the possible ones.
    """

    def __init__(self, kind: str, *, pixels: int, latent: int, hidden: int = 150) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"expected a kind among {', '.join(KINDS)}, got {kind!r}")
        if min(pixels, latent, hidden) < 1:
            raise ValueError(f"expected pixels, latent and hidden >= 1, got {pixels}, {latent} and {hidden}")
        self.kind, self.latent = kind, latent
        if kind == "AE":
            self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, latent), nn.LeakyReLU())
            self.decoder = nn.Sequential(nn.Linear(latent, pixels))
        else:
            inner = (nn.Linear(pixels, hidden), nn.LeakyReLU(), nn.Linear(hidden, 2 * latent))
            self.encoder = nn.Sequential(nn.Flatten(), *inner)
            self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.LeakyReLU(), nn.Linear(hidden, pixels))

    def encode(self, x: Tensor) -> Tensor:
        """Codes ``(n, latent)`` of images ``(n, ...)`` in [0, 1]; of the variational one their means."""
        code: Tensor = self.encoder(x)
        return code[:, : self.latent]

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Codes as the encoder draws them: of the plain one its codes, of the variational one a draw for each image."""
        return self._draw(self.encoder(x), generator)

    def _draw(self, code: Tensor, generator: torch.Generator) -> Tensor:
        if self.kind == "AE":
            return code
        mean, log_variance = torch.split(code, self.latent, dim=1)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        drawn: Tensor = mean + noise * (log_variance / 2).exp()
        return drawn

    def decode(self, z: Tensor) -> Tensor:
        """Flat images ``(n, pixels)`` in [0, 1] of codes ``(n, latent)``."""
        pixels: Tensor = self.decoder(z)
        return pixels.sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, ...)`` to their reconstructions, of the same shape."""
        return self.decode(self.encode(x)).view_as(x)

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """What it learns to make small: cross-entropy of all pixels and, with a variance, the divergence, in nats.

        Args:
            x: Images ``(n, ...)`` in [0, 1].
            generator: Source of the draws, on the CPU.

        Returns:
            Scalar, the mean over images.
        """
        code = self.encoder(x)
        logits = self.decoder(self._draw(code, generator))
        error = F.binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="sum")
        if self.kind == "VAE":
            mean, log_variance = torch.split(code, self.latent, dim=1)
            error = error + 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        return error / len(x)


def project(model: Autoencoder, x: Tensor, *, iterations: int, generator: torch.Generator) -> Tensor:
    r"""The codes whose images are nearest, :math:`z_P(x) = \arg\min_z \|D(z) - x\|_2`, from one random start.

    The report takes a gradient method for a large fixed number of iterations and states no step; here it is Adam.

    Args:
        model: Whose decoder.
        x: Images ``(n, ...)`` in [0, 1].
        iterations: Steps, at least 1; the report has 500.
        generator: Source of the standard normal start, on the CPU.

    Returns:
        Codes ``(n, latent)``.

    Raises:
        ValueError: If there are less than one iteration.
    """
    if iterations < 1:
        raise ValueError(f"expected iterations >= 1, got {iterations}")
    parts = [_projected(model, part.flatten(1), iterations, generator) for part in torch.split(x, _BATCH)]
    return torch.cat(parts)


@torch.enable_grad()
def _projected(model: Autoencoder, x: Tensor, iterations: int, generator: torch.Generator) -> Tensor:
    z = torch.randn(len(x), model.latent, generator=generator).to(x).requires_grad_()
    adam = torch.optim.Adam([z], lr=_STEP)
    for done in range(iterations):
        adam.param_groups[0]["lr"] = _STEP * (1 - done / iterations)
        (slope,) = torch.autograd.grad((model.decode(z) - x).square().sum(), z)
        z.grad = slope
        adam.step()
    return z.detach()
