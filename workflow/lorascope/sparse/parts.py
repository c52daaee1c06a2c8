"""The parts of the split on the device."""

import torch
from torch import Tensor

from lorascope.sparse.images import Images

EVALUATION_ROWS = 2048


class Part:
    """Images of one part of the split on the device: bytes, which become normalised pixels batch by batch.

    Args:
        images: all of them.
        part: number of the part.
        device: where to keep them.
    """

    def __init__(self, images: Images, part: int, device: str):
        rows = images.parts == part
        self.bytes = torch.from_numpy(images.images[rows]).to(device)
        self.classes = torch.from_numpy(images.classes[rows]).to(device)
        self.mean = torch.tensor(images.mean, dtype=torch.float32, device=device).view(-1, 1, 1)
        self.std = torch.tensor(images.std, dtype=torch.float32, device=device).view(-1, 1, 1)

    def __len__(self) -> int:
        return len(self.classes)

    def pixels(self, rows: Tensor | slice) -> Tensor:
        """Return normalised pixels [n, channels, side, side]."""
        return (self.bytes[rows].permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std

    def spread(self) -> Tensor:
        """Return the standard deviation of each image's pixels, [n]."""
        slices = (slice(i, i + EVALUATION_ROWS) for i in range(0, len(self), EVALUATION_ROWS))
        return torch.cat([self.pixels(rows).flatten(1).std(dim=1) for rows in slices])
