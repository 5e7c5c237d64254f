"""The networks against torchvision's own, and the paper's numbers of activations and ranks."""

import pytest
import torch
import torchvision
from torch import nn

from lrlib import models, paper
from lrlib.metrics import features

PAPER = ["resnet18", "resnet50", "vgg19"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def built(arch, seed=0, **options):
    torch.manual_seed(seed)
    return models.build(arch, **{"classes": 10, **options})


def images(n=2, channels=3, size=32, seed=0):
    return torch.rand(n, channels, size, size, generator=seeded(seed))


def torchvisions(arch, classes=10):
    """Torchvision's network with the usual CIFAR stem put in by hand; no weights are drawn."""
    if arch == "vgg19":
        with torch.device("meta"):
            model = torchvision.models.vgg19_bn(num_classes=classes, init_weights=False)
            model.avgpool = nn.AdaptiveAvgPool2d(1)
            model.classifier[0], model.classifier[3] = nn.Linear(512, 512), nn.Linear(512, 512)
            model.classifier[6] = nn.Linear(512, classes)
    else:
        with torch.device("meta"):
            model = getattr(torchvision.models, arch)(num_classes=classes)
            model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    return model.to_empty(device="cpu")


def renamed(state):
    """Our state dict under torchvision's names: the stem's convolution sits behind the normalisation."""
    stems = {"conv1.1": "conv1", "features.0.1": "features.0"}
    names = {name: name for name in state if not name.endswith((".mean", ".std"))}
    for ours, theirs in stems.items():
        names = {
            name: new.replace(f"{ours}.", f"{theirs}.", 1) if new.startswith(ours) else new
            for name, new in names.items()
        }
    return {new: state[name] for name, new in names.items()}


# the published networks


@pytest.mark.parametrize("arch", PAPER)
def test_at_width_64_every_weight_has_torchvisions_name_and_shape(arch):
    ours, theirs = renamed(built(arch).state_dict()), torchvisions(arch).state_dict()
    assert {name: value.shape for name, value in ours.items()} == {name: v.shape for name, v in theirs.items()}


@pytest.mark.parametrize("arch", PAPER)
def test_at_width_64_the_number_of_weights_is_torchvisions(arch):
    ours, theirs = (sum(p.numel() for p in m.parameters()) for m in (built(arch), torchvisions(arch)))
    assert ours == theirs


@pytest.mark.parametrize("arch", PAPER)
def test_with_the_same_weights_logits_are_torchvisions_of_the_normalised_images(arch):
    mean, std = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
    ours, theirs, x = built(arch, mean=mean, std=std).eval(), torchvisions(arch).eval(), images()
    theirs.load_state_dict(renamed(ours.state_dict()))
    normalised = torchvision.transforms.functional.normalize(x, mean, std)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(normalised), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_convolutions_start_as_torchvisions_do(arch):
    """Normal, of variance 2 over the fan out, in both; batch norms at one and zero."""
    for module in built(arch).modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()


@pytest.mark.parametrize(
    "arch, tap, width",
    [
        ("resnet18", "avgpool", 512),
        ("resnet18", "layer3", 16_384),
        ("resnet50", "avgpool", 2_048),
        ("vgg19", "avgpool", 512),
        ("vgg19", "classifier.4", 512),
    ],
)
def test_the_full_networks_have_the_papers_number_of_activations(arch, tap, width):
    model = built(arch)
    assert features(model, images(1), tap).flatten(1).shape == (1, width)
    assert models.widths(model, [tap], channels=3, size=32) == {tap: width}


@pytest.mark.parametrize(
    "arch, tap, width, rank",
    [
        ("resnet18", "avgpool", 512, 100),
        ("resnet50", "avgpool", 2_048, 100),
        ("resnet18", "layer3", 16_384, 500),
        ("resnet18", "avgpool", 128, 25),
        ("resnet18", "layer3", 4_096, 125),
        ("vgg19", "classifier.4", 512, 100),
        ("vgg19", "avgpool", 512, 100),
        ("resnet18", "avgpool", 1, 1),
    ],
)
def test_target_ranks_are_the_papers_and_shrink_with_the_network(arch, tap, width, rank):
    assert models.target_rank(arch, tap, width) == rank


# narrow networks


@pytest.mark.parametrize("arch", PAPER)
@pytest.mark.parametrize("width", [1, 4, 6])
def test_a_narrow_network_has_its_share_of_every_channel(arch, width):
    narrow, full = renamed(built(arch, width=width).state_dict()), torchvisions(arch).state_dict()
    for name, value in full.items():
        last = ("fc", "classifier.6")
        shape = list(value.shape)
        for axis in range(min(2, len(shape))):
            if not (axis == 0 and name.startswith(last)) and not (axis == 1 and name == next(iter(full))):
                shape[axis] = shape[axis] * width // 64
        assert list(narrow[name].shape) == shape


@pytest.mark.parametrize("arch", models.ARCHS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_network_maps_images_of_its_shape_to_logits(arch, channels):
    model = built(arch, width=2, channels=channels, classes=7).eval()
    assert model(images(3, channels)).shape == (3, 7)


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_residual_networks_take_images_of_8_pixels(arch):
    assert built(arch, width=2, size=8).eval()(images(2, size=8)).shape == (2, 10)


def test_no_weight_is_left_without_storage():
    for arch in models.ARCHS:
        assert not any(value.is_meta for value in built(arch, width=2).state_dict().values())


@pytest.mark.parametrize("arch", PAPER)
def test_images_are_normalised_inside(arch):
    """Scaling the images and the statistics alike changes nothing."""
    plain = built(arch, width=2, mean=[0.0] * 3, std=[1.0] * 3).eval()
    shifted = built(arch, width=2, mean=[0.2] * 3, std=[0.5] * 3).eval()
    x = images()
    with torch.no_grad():
        torch.testing.assert_close(shifted(x * 0.5 + 0.2), plain(x), rtol=1e-4, atol=1e-5)


def test_building_draws_the_same_weights_for_the_same_seed_and_others_for_another():
    one, same, other = (torch.cat([p.flatten() for p in built("vgg19", s, width=2).parameters()]) for s in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)


# variants


@pytest.mark.parametrize("arch", PAPER)
@pytest.mark.parametrize("variant", ["1-LR", "2-LR", *models.BASELINES])
def test_lr_variants_and_baselines_are_the_plain_network(arch, variant):
    plain, regularized = built(arch, width=2), built(arch, width=2, variant=variant)
    assert str(plain) == str(regularized)
    for (name, value), (other, expected) in zip(
        plain.state_dict().items(), regularized.state_dict().items(), strict=True
    ):
        assert name == other and torch.equal(value, expected)


@pytest.mark.parametrize("arch", PAPER)
@pytest.mark.parametrize("variant, places", [("Bottle-1LR", 1), ("Bottle-2LR", 2)])
def test_bottlenecks_hold_the_rank_of_the_representations_at_the_target(arch, variant, places):
    model = built(arch, width=8, variant=variant)
    taps = models.taps(arch, variant)
    assert len(taps) == places == sum(isinstance(module, models.Bottle) for module in model.modules())
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, models.Bottle):
                module.weight += 0.1 * torch.randn(module.weight.shape, generator=seeded())
    for tap in taps:
        a = features(model, images(100), tap).flatten(1).double()
        rank = models.target_rank(arch, tap, a.shape[1])
        assert rank < min(a.shape)
        assert 1 <= torch.linalg.matrix_rank(a, rtol=1e-5) <= rank


def test_a_bottleneck_starts_as_an_orthogonal_projector():
    bottle = models.Bottle(12, 3)
    a = torch.randn(5, 3, 2, 2, generator=seeded())
    once = bottle(a)
    assert once.shape == a.shape
    torch.testing.assert_close(bottle(once), once)
    torch.testing.assert_close((a - once).flatten(1) @ bottle.weight, torch.zeros(5, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("arch", PAPER)
def test_taps_are_modules_of_the_network_the_last_one_first(arch):
    names = [name for name, _ in built(arch, width=1).named_modules()]
    last, earlier = models.places(arch)
    assert names.index(earlier) < names.index(last)
    assert all(models.taps(arch, variant) == () for variant in ("N-LR", *models.BASELINES))
    assert models.taps(arch, "1-LR") == models.taps(arch, "Bottle-1LR") == (last,)
    assert models.taps(arch, "2-LR") == models.taps(arch, "Bottle-2LR") == (last, earlier)


def test_measuring_widths_leaves_a_network_as_it_was():
    model = built("resnet18", width=2).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    models.widths(model, ["layer3", "avgpool"], channels=3, size=32)
    assert model.training and not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_baselines_are_table_2s_and_adversarial_training_and_need_no_place_for_a_layer():
    """Table 2 of the paper beside N-LR and 1-LR."""
    table2 = {row.variant for row in paper.table("table2").itertuples()}
    assert {*models.BASELINES} == table2 - {"N-LR", "1-LR"} | {"PGD-trained"}
    assert all(models.taps("1L", variant) == () for variant in models.BASELINES)


# the report's classifiers


@pytest.mark.parametrize("arch, layers", [("1L", 1), ("2L", 2), ("LRL", 2)])
def test_the_reports_classifiers_are_linear_layers_on_raw_pixels(arch, layers):
    model, x = built(arch, width=5, channels=1, size=8), images(4, 1, 8)
    linear = [module for module in model if isinstance(module, nn.Linear)]
    assert len(linear) == layers
    expected = x.flatten(1)
    for i, module in enumerate(linear):
        expected = expected.clamp_min(0) if i and arch == "LRL" else expected
        expected = expected @ module.weight.T + module.bias
    torch.testing.assert_close(model(x), expected)


# bad input


@pytest.mark.parametrize(
    "options, message",
    [
        ({"arch": "alexnet"}, "arch among resnet18, resnet50, vgg19, 1L, 2L, LRL, got 'alexnet'"),
        ({"variant": "3-LR"}, "variant among N-LR, 1-LR, 2-LR, Bottle-1LR, .*, PGD-trained, got '3-LR'"),
        ({"arch": "1L", "variant": "2-LR"}, "variant N-LR for 1L, which has no place for LR layers, got '2-LR'"),
        ({"arch": "vgg19", "size": 8}, "at least 32x32 pixels for vgg19's five poolings, got size=8"),
        ({"width": 0}, "width of at least 1 channel, got width=0"),
        ({"classes": 1}, "at least 2 classes, got classes=1"),
    ],
)
def test_networks_that_do_not_exist_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        models.build(**{"arch": "resnet18", "classes": 10, **options})


def test_a_target_rank_is_known_at_the_papers_taps_only():
    with pytest.raises(ValueError, match="tap of resnet18 among avgpool, layer3, got 'layer2'"):
        models.target_rank("resnet18", "layer2", 10)
    with pytest.raises(ValueError, match="tap of 1L among none, got 'avgpool'"):
        models.target_rank("1L", "avgpool", 10)
