"""Blocks of matrices on a torch device: while one is worked on, the next is read and copied there."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from lorascope.devices import require_cuda
from lorascope.features.batch import MatrixBatch
from lorascope.features.extract import Block, Weights, row_blocks

# 64 MB of weights at a time: much for one kernel, and little of a device with its float64 intermediates.
BLOCK_ENTRIES = 1 << 24
_BUFFERS = 2


class DeviceBlocks:
    """What :func:`lorascope.features.extract.extract` takes as ``blocks`` to compute on a torch device.

    A thread reads weights into one of two buffers in turn and sends that to the device on a stream of its
    own. The buffers are pinned: only then does a copy to a CUDA device run beside its kernels.

    Raises:
        LorascopeError: torch finds no CUDA device.
    """

    def __init__(self, device: str):
        self._device = torch.device(device)
        self._on_cuda = self._device.type == "cuda"
        if self._on_cuda:
            require_cuda()
        self._stream = torch.cuda.Stream(self._device) if self._on_cuda else None
        self._buffers = [torch.empty(0)] * _BUFFERS
        self._copied: list[torch.cuda.Event | None] = [None] * _BUFFERS

    def __call__(self, weights: Weights, start: int, stop: int) -> Iterator[Block]:
        """Yield the blocks of adapters ``start`` to ``stop``, matrix by matrix."""
        places = [
            (matrix, rows)
            for matrix, info in enumerate(weights.matrices)
            for rows in row_blocks(stop - start, info.rows * info.cols, BLOCK_ENTRIES)
        ]

        def send(turn: int) -> torch.Tensor:
            matrix, rows = places[turn]
            return self._send(turn % _BUFFERS, weights.read(matrix, start + rows.start, start + rows.stop))

        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(send, 0)
            for turn, (matrix, rows) in enumerate(places):
                values = coming.result()
                if turn + 1 < len(places):
                    coming = reader.submit(send, turn + 1)
                yield matrix, rows, MatrixBatch(self._received(turn % _BUFFERS, values))

    def _send(self, turn: int, values: np.ndarray) -> torch.Tensor:
        """Start to copy a block to the device; its values are there once ``_received`` says so."""
        if self._copied[turn] is not None:
            self._copied[turn].synchronize()
        buffer = self._buffer(turn, values.size).reshape(values.shape)
        np.copyto(buffer.numpy(), values)
        if not self._on_cuda:
            return buffer
        with torch.cuda.stream(self._stream):
            sent = buffer.to(self._device, non_blocking=True)
            self._copied[turn] = self._stream.record_event()
        return sent

    def _buffer(self, turn: int, size: int) -> torch.Tensor:
        if len(self._buffers[turn]) < size:
            self._buffers[turn] = torch.empty(size, dtype=torch.float32, pin_memory=self._on_cuda)
        return self._buffers[turn][:size]

    def _received(self, turn: int, values: torch.Tensor) -> torch.Tensor:
        """Make what is computed from now on wait for the copy, and the allocator for what is computed."""
        if self._on_cuda:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(self._copied[turn])
            values.record_stream(stream)
        return values
