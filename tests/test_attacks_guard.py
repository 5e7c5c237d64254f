"""An attack leaves the model, its input and the caller's state as it found them."""

import copy

import pytest
import torch
from torch import Tensor, nn

from lrlib.attacks import deepfool, fgsm, iterative_least_likely, pgd, representation, smallest_fgsm, targeted

ATTACKS = {
    "fgsm": lambda model, x, y: fgsm(model, x, y, eps=0.1),
    "pgd": lambda model, x, y: pgd(
        model, x, y, eps=0.1, step_size=0.05, steps=3, generator=torch.Generator().manual_seed(0)
    ),
    "iterative_least_likely": lambda model, x, y: iterative_least_likely(model, x, y, eps=0.1, step_size=0.05, steps=3),
    "until_fooled": lambda model, x, y: pgd(
        model, x, y, eps=0.1, step_size=0.05, steps=3, restarts=2, until_fooled=True, generator=torch.Generator()
    ),
    "deepfool": lambda model, x, y: deepfool(model, x, steps=3),
    "smallest_fgsm": lambda model, x, y: smallest_fgsm(model, x, y, eps=0.1, tries=3),
    "targeted": lambda model, x, y: targeted(model, x, y, steps=3),
    "representation": lambda model, x, y: representation(
        model, x, x.flip(0), eps=0.1, step_size=0.05, steps=3, generator=torch.Generator()
    ),
}
every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())


class Net(nn.Module):
    """Has all that an attack could disturb: running statistics, dropout, frozen parameters and mixed modes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.head = nn.utils.parametrizations.spectral_norm(nn.Linear(100, 3))
        self.calls, self.fails_at = 0, -1

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.fails_at:
            raise ZeroDivisionError("the model broke")
        return self.head(self.drop(self.norm(self.conv(x)).relu().flatten(1)))


def lived_in_net() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net()
        net(torch.rand(2, 2, 5, 5)).sum().backward()
    net.norm.eval()
    net.conv.bias.requires_grad_(False)
    return net


def state_of(net: nn.Module) -> dict[str, object]:
    return {
        "state": copy.deepcopy(net.state_dict()),
        "training": {name: module.training for name, module in net.named_modules()},
        "requires_grad": {name: p.requires_grad for name, p in net.named_parameters()},
        "gradients": {name: None if p.grad is None else p.grad.clone() for name, p in net.named_parameters()},
        "identities": {name: id(p) for name, p in net.named_parameters()},
    }


@pytest.fixture
def batch():
    return torch.rand(4, 2, 5, 5, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 0])


@every_attack
def test_modes_parameters_buffers_and_gradients_are_left_as_they_were(attack, batch):
    net = lived_in_net()
    before, random_state = state_of(net), torch.get_rng_state()
    attack(net, *batch)
    torch.testing.assert_close(state_of(net), before, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.parametrize(
    ("name", "call"), [(name, call) for name in ATTACKS for call in (1, 2) if (name, call) != ("fgsm", 2)]
)
def test_a_model_that_raises_is_left_as_it_was(name, call, batch):
    net = lived_in_net()
    before = state_of(net)
    net.fails_at = net.calls + call
    with pytest.raises(ZeroDivisionError):
        ATTACKS[name](net, *batch)
    torch.testing.assert_close(state_of(net), before, rtol=0, atol=0)


@every_attack
def test_the_model_is_attacked_in_evaluation_mode(attack, batch):
    net = lived_in_net()
    modes = []
    net.register_forward_pre_hook(lambda module, _: modes.extend(m.training for m in module.modules()))
    attack(net, *batch)
    assert modes and not any(modes)


@every_attack
def test_parameters_ask_for_no_gradient_during_the_attack(attack, batch):
    net = lived_in_net()
    asked = []
    net.register_forward_pre_hook(lambda module, _: asked.extend(p.requires_grad for p in module.parameters()))
    attack(net, *batch)
    assert asked and not any(asked)


def test_an_overridden_train_method_is_not_called(batch):
    class Merging(nn.Linear):
        def train(self, mode: bool = True) -> "Merging":
            raise AssertionError("train() was called")

    model = nn.Sequential(nn.Flatten(), Merging(50, 3))
    ATTACKS["pgd"](model, *batch)
    assert model.training


def test_the_graph_of_a_loss_taken_before_the_attack_still_reaches_the_parameters(batch):
    net = lived_in_net()
    net.zero_grad(set_to_none=True)
    loss = net(batch[0]).sum()
    ATTACKS["pgd"](net, *batch)
    loss.backward()
    assert net.conv.weight.grad is not None


@every_attack
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_grad_mode_neither_matters_nor_changes(attack, mode, batch):
    net = lived_in_net()
    expected = attack(net, *batch)
    with mode():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        x, y = batch[0].clone(), batch[1].clone()
        x_adv = attack(net, x, y)
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
    assert torch.equal(x_adv, expected)
    assert not x_adv.requires_grad


@every_attack
def test_the_input_is_left_alone_and_the_result_is_cut_from_any_graph(attack, batch):
    x, y = batch[0].clone().requires_grad_(), batch[1].clone()
    x.grad = torch.ones_like(x)
    x_adv = attack(lived_in_net(), x, y)
    assert not x_adv.requires_grad and x_adv.grad_fn is None
    assert x_adv.data_ptr() != x.data_ptr()
    assert torch.equal(x, batch[0]) and torch.equal(y, batch[1])
    assert x.requires_grad and torch.equal(x.grad, torch.ones_like(x))


@every_attack
def test_an_input_inside_a_graph_will_do(attack, batch):
    x = batch[0].clone().requires_grad_() * 1.0
    torch.testing.assert_close(attack(lived_in_net(), x, batch[1]), attack(lived_in_net(), *batch))


@every_attack
def test_a_plain_callable_is_used_as_it_is_and_gathers_no_parameter_gradients(attack, batch):
    net = lived_in_net().eval()
    before = state_of(net)
    x_adv = attack(lambda z: net(z), *batch)
    torch.testing.assert_close(state_of(net), before, rtol=0, atol=0)
    torch.testing.assert_close(x_adv, attack(net, *batch))


@every_attack
def test_half_precision_under_autocast_stays_in_the_box(attack, batch):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x_adv = attack(lived_in_net(), *batch)
    assert x_adv.dtype == torch.float32
    assert ((x_adv >= 0) & (x_adv <= 1)).all() and not torch.equal(x_adv, batch[0])
