"""The SVD report's first method: autoencoders, the codes that images have in them, and classifiers of these codes."""

from lrlib.latent.autoencoders import KINDS, Autoencoder, project
from lrlib.latent.fitting import code_classifier, trained
from lrlib.latent.store import AutoencoderSpec, Stored, find_or_train

__all__ = [
    "KINDS",
    "Autoencoder",
    "AutoencoderSpec",
    "Stored",
    "code_classifier",
    "find_or_train",
    "project",
    "trained",
]
