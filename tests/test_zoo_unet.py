"""The UNet: diffusers' names, shapes and outputs. Its layers: those that PEFT would adapt."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from lorascope.zoo.architecture import STABLE_DIFFUSION_1_5, Architecture, adapted_layers
from lorascope.zoo.unet import UNet

SHAPES = {
    "zoo": Architecture(),
    "one level": Architecture(widths=(16,), attention=(True,)),
    "three levels, two resnets, no attention at the last": Architecture(
        widths=(16, 24, 32), attention=(True, True, False), resnets=2, heads=4, text_width=16
    ),
}


def shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


@pytest.mark.parametrize("architecture", SHAPES.values(), ids=SHAPES)
def test_outputs_are_diffusers(architecture):
    torch.manual_seed(0)
    ours = UNet(architecture).eval()
    theirs = UNet2DConditionModel(**architecture.diffusers_config(8)).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    latents, text = torch.randn(5, 4, 8, 8), torch.randn(5, 4, architecture.text_width)
    timesteps = torch.tensor([0, 1, 250, 500, 999])
    with torch.no_grad():
        expected = theirs(latents, timesteps, text).sample
        torch.testing.assert_close(ours(latents, timesteps, text), expected, atol=1e-5, rtol=0)


def test_stable_diffusion_1_5_has_the_published_keys_and_shapes():
    with torch.device("meta"):
        ours = UNet(STABLE_DIFFUSION_1_5)
        # diffusers' defaults are Stable Diffusion's but for the width of the text.
        theirs = UNet2DConditionModel(cross_attention_dim=768)
    assert len(shapes(ours)) == 686
    assert shapes(ours) == shapes(theirs)


def test_stable_diffusion_1_5_has_the_published_adapter_size():
    layers = adapted_layers(STABLE_DIFFUSION_1_5)
    assert len(layers) == 64
    assert sum(layer.d_in + layer.d_out for layer in layers) == 99_648


@pytest.mark.parametrize("architecture", [*SHAPES.values(), STABLE_DIFFUSION_1_5])
def test_adapted_layers_are_the_projections_of_the_network(architecture):
    with torch.device("meta"):
        modules = dict(UNet(architecture).named_modules())
    projections = {name: m for name, m in modules.items() if name.rpartition(".")[2] in ("to_q", "to_v")}
    layers = adapted_layers(architecture)
    assert {layer.name for layer in layers} == set(projections)
    assert len(layers) == len(projections)
    for layer in layers:
        assert projections[layer.name].weight.shape == (layer.d_out, layer.d_in)


def test_layers_come_in_the_order_in_which_data_passes():
    torch.manual_seed(0)
    unet, seen = UNet(Architecture()), []
    for name, module in unet.named_modules():
        if name.endswith(("to_q", "to_v")):
            module.register_forward_hook(lambda *_, name=name: seen.append(name))
    unet(torch.randn(1, 4, 8, 8), torch.tensor([5]), torch.randn(1, 4, 32))
    assert seen == [layer.name for layer in adapted_layers(Architecture())]
