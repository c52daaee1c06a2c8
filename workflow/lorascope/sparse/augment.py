"""Random crops and flips of a whole batch at once, on the device where the batch is."""

import torch
from torch import Tensor
from torch.nn import functional


def augment(pixels: Tensor, crop: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Shift each image by up to ``crop`` pixels each way, over a border of zeros, and mirror half of them.

    Args:
        pixels: [n, channels, side, side].
        crop: largest shift in pixels; 0 for none.
        flip: whether to mirror left and right.
        generator: of the device of ``pixels``.
    """
    n, _, side, _ = pixels.shape
    if not (crop or flip) or not n:
        return pixels
    device = pixels.device
    offsets = torch.randint(2 * crop + 1, (2, n, 1), generator=generator, device=device)
    rows, columns = offsets + torch.arange(side, device=device)
    if flip:
        mirrored = torch.rand(n, 1, generator=generator, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    framed = functional.pad(pixels, (crop, crop, crop, crop))
    images = torch.arange(n, device=device)[:, None, None]
    return framed.permute(0, 2, 3, 1)[images, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
