"""A step of training, the LR layers it puts on, its precision, and compiling, shown on the CPU."""

import warnings
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from lrlib import data, engine, metrics, models, presets, train, zoo
from lrlib.data.dataset import describe
from lrlib.specs import Regularizer

CPU = torch.device("cpu")
LR = Regularizer(lambda_c=1.0, lambda_n=0.1, from_epoch=1, cut_every=2)
PLAIN = replace(presets.spec("quick", "N-LR", 0), width=2, epochs=2, batch_size=48)
TWO = replace(PLAIN, variant="2-LR", lr=LR)


@pytest.fixture(scope="module")
def digits():
    """96 images for training, so that an epoch has two equal batches, and 8 for testing."""
    whole = data.load("digits")
    train, test = (whole.x_train[:96], whole.y_train[:96]), (whole.x_test[:8], whole.y_test[:8])
    return describe("digits", train, test, classes=whole.classes)


def begun(spec, digits):
    """A training before its first epoch, in training mode."""
    torch.manual_seed(spec.seed)
    training = engine.Training(spec, digits, train.place(train.build(spec, digits), CPU), CPU)
    training.model.train()
    return training


def batch(training, n=48):
    return data.as_float(training.x[:n]), training.y[:n]


def trained(spec, digits):
    return train.train(spec, digits, progress=False)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# A step


def test_a_step_gives_the_loss_and_logits_before_it_and_takes_sgds_first_step(digits):
    training = begun(replace(PLAIN, milestones=(), learning_rate=0.05), digits)
    images, labels = batch(training)
    twin = begun(training.spec, digits).model
    logits = twin(images.contiguous(memory_format=torch.channels_last))
    loss = F.cross_entropy(logits, labels)
    gradients = dict(
        zip(dict(twin.named_parameters()), torch.autograd.grad(loss, list(twin.parameters())), strict=True)
    )
    got_loss, got_logits = training.step(images, labels)
    assert torch.equal(got_loss, loss.detach()) and torch.equal(got_logits, logits.detach())
    assert not got_loss.requires_grad and not got_logits.requires_grad
    for name, value in twin.named_parameters():
        expected = value - 0.05 * (gradients[name] + 5e-4 * value)
        torch.testing.assert_close(training.model.get_parameter(name), expected, rtol=1e-5, atol=1e-7)


def test_a_rank_above_the_width_of_its_place_is_refused_before_the_first_epoch(digits):
    with pytest.raises(ValueError, match="expected a rank of at most 16, the activations at avgpool, got 17"):
        begun(replace(TWO, lr=replace(LR, ranks=(17, 2))), digits)
    begun(replace(TWO, lr=replace(LR, ranks=(16, 2))), digits)


def test_a_step_adds_the_regularizer_to_what_is_descended_and_not_to_the_loss_that_is_shown(digits):
    training, plain = begun(TWO, digits), begun(PLAIN, digits)
    training.attach_layers(LR)
    images, labels = batch(training)
    assert torch.equal(training.step(images, labels)[0], plain.step(images, labels)[0])
    weights = [model.get_parameter("layer4.1.conv2.weight") for model in (training.model, plain.model)]
    assert not torch.equal(*weights)
    assert [layer.steps for layer in training.regularizer.layers.values()] == [1, 1]


def test_every_step_moves_the_schedule_on(digits):
    training = begun(replace(PLAIN, epochs=5), digits)
    rates = []
    for _ in range(3):
        rates.append(training.optimizer.param_groups[0]["lr"])
        training.step(*batch(training))
    assert rates[0] == pytest.approx(0.1 / 25) and rates[0] < rates[1] < rates[2]


# The LR layers


def test_the_layers_start_at_the_leading_directions_of_the_first_images(digits):
    training = begun(TWO, digits)
    twin = begun(PLAIN, digits).model
    training.attach_layers(replace(LR, ranks=(3, 2)))
    for tap, layer in training.regularizer.layers.items():
        features = metrics.features(twin, data.as_float(digits.x_train), tap).double()
        centred = features - features.mean(0)
        leading = torch.linalg.svd(centred)[2][: layer.rank]
        torch.testing.assert_close(layer.W.double(), leading.T @ leading, rtol=0, atol=1e-3)
        torch.testing.assert_close(layer.b.double(), -features.mean(0), rtol=1e-4, atol=1e-5)


def test_a_random_start_is_one_of_the_settings(digits):
    starts = {}
    for start in ("leading", "random"):
        training = begun(TWO, digits)
        training.attach_layers(replace(LR, ranks=(3, 2), start=start))
        starts[start] = training.regularizer.layers["avgpool"].W
        values = torch.linalg.eigvalsh(starts[start])
        torch.testing.assert_close(values, torch.tensor([0.0] * 13 + [1.0] * 3), rtol=0, atol=1e-4)
    assert not torch.allclose(starts["leading"], starts["random"], atol=0.1)
    spec = replace(TWO, epochs=3)
    random = replace(spec, lr=replace(LR, start="random"))
    assert not same(trained(spec, digits)[0].state_dict(), trained(random, digits)[0].state_dict())


def test_the_layers_have_the_settings_asked_for(digits):
    settings = replace(LR, cut_every=7, step_size=0.3, members=2, as_written=True, bounded=False)
    training = begun(replace(TWO, seed=5), digits)
    training.attach_layers(settings)
    attachment = training.regularizer
    assert (attachment.lambda_c, attachment.lambda_n, attachment.bounded) == (1.0, 0.1, False)
    for tap, layer in attachment.layers.items():
        assert layer.rank == models.target_rank("resnet18", tap, layer.features) and layer.seed == 5
        assert (layer.cut_every, layer.step_size) == (7, 0.3)
        assert (layer.cut.projection, layer.cut.members, layer.cut.as_written) == ("ensemble", 2, True)


def test_putting_the_layers_on_leaves_the_network_and_the_random_numbers_as_they_were(digits):
    training = begun(TWO, digits)
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    state = torch.get_rng_state()
    training.attach_layers(LR)
    assert same(training.model.state_dict(), before) and torch.equal(torch.get_rng_state(), state)
    assert training.model.training
    training.finish()
    assert not any(module._forward_hooks or module.training for module in training.model.modules())


# Precision


@pytest.fixture
def processor(monkeypatch):
    """Makes the processor one with bf16 or without."""
    return lambda has: monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has)


def test_a_device_without_bf16_trains_in_fp32(digits, processor):
    expected, summary = trained(PLAIN, digits)
    processor(False)
    assert begun(replace(PLAIN, precision="bf16"), digits).precision == "fp32"
    model, again = trained(replace(PLAIN, precision="bf16"), digits)
    assert same(model.state_dict(), expected.state_dict()) and again == summary


def test_a_device_with_bf16_trains_in_it_if_asked(digits, processor):
    processor(True)
    assert begun(PLAIN, digits).precision == "fp32"
    cast = begun(replace(PLAIN, precision="bf16"), digits)
    assert cast.precision == "bf16"
    _, logits = cast.step(*batch(cast))
    assert logits.dtype == torch.bfloat16
    assert {str(value.dtype) for value in cast.model.state_dict().values()} == {"torch.float32", "torch.int64"}


def test_w_and_the_losses_stay_in_fp32_when_the_network_is_cast(digits, processor):
    processor(True)
    training = begun(replace(TWO, precision="bf16"), digits)
    training.attach_layers(LR)
    images, labels = batch(training)
    dtypes = []
    training.regularizer.layers["avgpool"].register_forward_hook(
        lambda m, i, losses: dtypes.extend((i[0].dtype, *(loss.dtype for loss in losses)))
    )
    training.step(images, labels)
    assert dtypes == [torch.bfloat16, torch.float32, torch.float32]
    assert {layer.W.dtype for layer in training.regularizer.layers.values()} == {torch.float32}


def test_the_history_of_a_model_says_in_what_it_was_trained(processor, tmp_path, monkeypatch):
    for has, precision in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setenv("LRLIB_MODELS", str(tmp_path / str(has)))
        processor(has)
        found = zoo.find_or_train(replace(PLAIN, epochs=0, precision="bf16"), progress=False)
        assert found.history["precision"] == precision and found.spec.precision == "bf16"


def test_bf16_is_looked_for_where_the_device_is(processor, monkeypatch):
    processor(True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert engine.has_bf16(CPU) and not engine.has_bf16(torch.device("cuda"))
    processor(False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert not engine.has_bf16(CPU) and engine.has_bf16(torch.device("cuda"))
    assert not engine.has_bf16(torch.device("meta"))


# Compiling


def test_a_compiled_training_is_the_uncompiled_one_without_a_graph_break(digits, monkeypatch):
    """Layers are put on between the two epochs, which compiled code has to notice."""
    expected, summary = trained(TWO, digits)
    calls = []

    def compile_(self):
        torch._dynamo.reset()
        compiled = torch.compile(self.model, backend="aot_eager", fullgraph=True)
        self._compiled = lambda images: calls.append(len(images)) or compiled(images)

    monkeypatch.setattr(engine.Training, "_compile", compile_)
    with torch._dynamo.config.patch(error_on_recompile=True), warnings.catch_warnings():
        warnings.simplefilter("error")
        model, again = trained(TWO, digits)
    assert again == summary and calls == [48] * 4
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_a_compiler_that_fails_is_warned_of_once_and_done_without(digits, monkeypatch):
    expected, summary = trained(TWO, digits)

    def failing(images):
        raise RuntimeError("no C compiler")

    monkeypatch.setattr(engine.Training, "_compile", lambda self: setattr(self, "_compiled", failing))
    with pytest.warns(RuntimeWarning, match="^training without torch.compile, which failed: no C compiler$") as caught:
        model, again = trained(TWO, digits)
    assert len(caught) == 2  # the network is compiled anew once the layers are on
    assert same(model.state_dict(), expected.state_dict()) and again == summary


def test_the_network_is_compiled_on_a_gpu_alone_and_anew_with_its_layers(digits, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or model)
    training = begun(TWO, digits)
    assert compiled == [] and training._compiled is None
    training.device = torch.device("cuda")
    training._compile()
    assert compiled == [training.model]
    training.attach_layers(LR)
    assert compiled == [training.model] * 2 and training._compiled is training.model


def test_a_mistake_in_the_network_is_still_one_when_it_is_compiled(digits):
    training = begun(PLAIN, digits)
    training._compiled = training.model
    with (
        pytest.warns(RuntimeWarning, match="training without torch.compile"),
        pytest.raises(RuntimeError, match="size"),
    ):
        training.step(torch.rand(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64))
