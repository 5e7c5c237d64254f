"""Autoencoders, projections and classifiers of codes, against closed forms, and the store that keeps them."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from lrlib import data, latent, zoo
from lrlib.latent import Autoencoder, AutoencoderSpec

SPEC = AutoencoderSpec("digits", "VAE", latent=3, hidden=10, seed=0, epochs=1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=6, size=4):
    return torch.rand(n, 1, size, size, generator=generator(1))


@pytest.mark.parametrize("kind", latent.KINDS)
def test_codes_have_the_latent_dimension_and_reconstructions_the_shape_of_images(kind):
    model, x = Autoencoder(kind, pixels=16, latent=3, hidden=5), images()
    assert model.encode(x).shape == model.draw(x, generator()).shape == (6, 3)
    assert model(x).shape == x.shape and model(x).min() >= 0 and model(x).max() <= 1


def test_the_layers_are_the_reports():
    """Section 3.2: 3 layers with leaky ReLU in the hidden one; 5 with 150 and 32 nodes, leaky ReLU and linear."""

    def sizes(part):
        return [(one.in_features, one.out_features) for one in part if isinstance(one, nn.Linear)]

    def leaky(part):
        return sum(isinstance(one, nn.LeakyReLU) for one in part)

    plain, variational = (Autoencoder(kind, pixels=784, latent=32) for kind in latent.KINDS)
    assert sizes(plain.encoder) == [(784, 32)] and sizes(plain.decoder) == [(32, 784)]
    assert sizes(variational.encoder) == [(784, 150), (150, 64)]  # means and log variances
    assert sizes(variational.decoder) == [(32, 150), (150, 784)]
    assert [leaky(one) for one in (plain.encoder, plain.decoder, variational.encoder, variational.decoder)] == [
        *(1, 0, 1, 1)
    ]


def test_the_codes_of_a_variational_encoder_are_drawn_with_its_mean_and_variance():
    model, x = Autoencoder("VAE", pixels=16, latent=2, hidden=5), images(1)
    with torch.no_grad():
        mean, log_variance = model.encoder(x)[0].split(2)
        drawn = model.draw(x.expand(40_000, 1, 4, 4), generator())
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.std(0), (log_variance / 2).exp(), atol=0.03, rtol=0)


@pytest.mark.parametrize("kind", latent.KINDS)
def test_the_loss_is_cross_entropy_and_the_divergence_from_a_standard_normal(kind):
    model, x = Autoencoder(kind, pixels=16, latent=2, hidden=5), images()
    shown = model.decode(model.draw(x, generator())).clamp(1e-7, 1 - 1e-7)
    flat = x.flatten(1)
    expected = -(flat * shown.log() + (1 - flat) * (1 - shown).log()).sum(1).mean()
    if kind == "VAE":
        mean, log_variance = model.encoder(x).split(2, dim=1)
        own = torch.distributions.Normal(mean, (log_variance / 2).exp())
        divergence = torch.distributions.kl_divergence(own, torch.distributions.Normal(0.0, 1.0))
        expected = expected + divergence.sum(1).mean()
    torch.testing.assert_close(model.loss(x, generator()), expected)


def test_a_projection_is_the_nearest_image_of_the_decoder():
    """With an affine decoder, which a sigmoid near its middle is, that is least squares."""
    model = Autoencoder("AE", pixels=16, latent=2)
    W = torch.linalg.qr(torch.randn(16, 2, generator=generator())).Q
    with torch.no_grad():
        model.decoder[0].weight.copy_(0.04 * W)
        model.decoder[0].bias.zero_()
    x = 0.5 + 0.01 * torch.randn(700, 16, generator=generator(2))  # more than one batch
    z = latent.project(model, x, iterations=400, generator=generator(3))
    expected = (x - 0.5) @ W / 0.01  # sigmoid(t) is 1/2 + t/4
    torch.testing.assert_close(z, expected, atol=0.02, rtol=0.02)


def test_an_image_of_the_decoder_is_projected_on_its_own_code():
    model = Autoencoder("AE", pixels=64, latent=3)
    z = torch.randn(5, 3, generator=generator())
    found = latent.project(model, model.decode(z).detach(), iterations=500, generator=generator(1))
    torch.testing.assert_close(found, z, atol=0.02, rtol=0.02)


def test_projecting_works_where_no_gradients_are_kept_and_changes_no_weight():
    model, x = Autoencoder("VAE", pixels=16, latent=2, hidden=5), images()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        z = latent.project(model, x, iterations=3, generator=generator())
    assert not z.requires_grad and all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", latent.KINDS)
def test_training_reduces_the_loss_and_leaves_the_global_random_state_alone(kind):
    x, state = images(64), torch.get_rng_state()
    settings = {"latent": 2, "hidden": 8, "batch_size": 16, "learning_rate": 0.01, "seed": 0}
    before, after = (latent.trained(kind, x, epochs=epochs, **settings).loss(x, generator()) for epochs in (0, 20))
    assert after < before and torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("arch", ["1L", "2L", "LRL"])
def test_a_classifier_of_codes_learns_codes_that_a_line_separates(arch):
    z = torch.randn(200, 2, generator=generator())
    y = (z.sum(1) > 0).long()
    settings = {"classes": 2, "width": 8, "epochs": 60, "batch_size": 50, "learning_rate": 0.02, "seed": 0}
    model = latent.code_classifier(arch, z, y, **settings)
    assert (model(z).argmax(1) == y).float().mean() > 0.95


def test_what_does_not_fit_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"^expected a kind among AE, VAE, got 'GAN'$"):
        Autoencoder("GAN", pixels=4, latent=2)
    with pytest.raises(ValueError, match=r"^expected pixels, latent and hidden >= 1, got 4, 0 and 150$"):
        Autoencoder("AE", pixels=4, latent=0)
    with pytest.raises(ValueError, match=r"^expected iterations >= 1, got 0$"):
        latent.project(Autoencoder("AE", pixels=16, latent=2), images(), iterations=0, generator=generator())
    settings = {"classes": 2, "width": 8, "epochs": 1, "batch_size": 50, "learning_rate": 0.02, "seed": 0}
    with pytest.raises(ValueError, match=r"^expected an arch among 1L, 2L, LRL, got 'resnet18'$"):
        latent.code_classifier("resnet18", torch.zeros(2, 2), torch.tensor([0, 1]), **settings)
    with pytest.raises(FloatingPointError, match=r"^expected finite weights"):
        latent.code_classifier("1L", torch.full((2, 2), math.inf), torch.tensor([0, 1]), **settings)


# The store


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.setenv("LRLIB_MODELS", str(tmp_path))
    return latent.find_or_train(SPEC)


def test_a_stored_autoencoder_is_found_again_and_not_trained(stored, monkeypatch):
    monkeypatch.setattr(latent.store, "_train", lambda *given: pytest.fail("trained again"))
    again = latent.find_or_train(SPEC)
    assert again.sha256 == stored.sha256 and again.spec == SPEC
    x = data.as_float(data.load("digits").x_test[:3])
    assert torch.equal(again.model(x), stored.model(x))


def test_training_twice_gives_the_same_weights(stored):
    for file in zoo.folder().glob(f"{SPEC.name}.*"):
        file.unlink()
    assert latent.find_or_train(SPEC).sha256 == stored.sha256


@pytest.mark.parametrize("other", [{"seed": 1}, {"latent": 4}, {"kind": "AE"}, {"epochs": 2}])
def test_every_setting_is_in_the_name(other):
    assert replace(SPEC, **other).name != SPEC.name


@pytest.mark.parametrize("fault", ["torn weights", "other images", "no description", "no JSON"])
def test_what_does_not_fit_its_description_is_trained_again(stored, fault):
    weights = zoo.folder() / f"{SPEC.name}.safetensors"
    about = weights.with_suffix(".json")
    if fault == "torn weights":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif fault == "other images":
        about.write_text(json.dumps(json.loads(about.read_text()) | {"dataset_fingerprint": "0"}))
    elif fault == "no description":
        about.unlink()
    else:
        about.write_text("{")
    assert latent.find_or_train(SPEC).sha256 == stored.sha256
    assert json.loads(about.read_text())["dataset_fingerprint"] == data.load("digits").fingerprint
