"""What the validation part decides about epochs and candidates: which is kept, and how training goes on."""


def merit(accuracy: float, loss: float) -> tuple[float, float]:
    """Return what orders epochs, candidates and cells: the accuracy, then the lower loss."""
    return accuracy, -loss


class Schedule:
    """The step size of one seed, when its training ends, and which of its epochs is kept.

    Progress is a better validation accuracy and nothing else: epochs without it halve the step size, as
    torch's ``ReduceLROnPlateau(mode="max", factor=0.5)`` counts them, and end the training. Kept is the epoch
    with the highest :func:`merit`: on few adapters a later epoch often reaches the same accuracy with better
    probabilities.

    Attributes:
        learning_rate: of the next epoch.
    """

    def __init__(self, learning_rate: float, lr_patience: int, stop_patience: int, epochs: int):
        """Start before the first epoch.

        Args:
            lr_patience: the step size is halved by the epoch after so many in a row without progress.
            stop_patience: so many epochs in a row without progress end the training.
            epochs: so many epochs end it in any case.
        """
        self.learning_rate = learning_rate
        self._lr_patience, self._stop_patience, self._epochs_left = lr_patience, stop_patience, epochs
        self._best = merit(-1.0, 0.0)
        self._stale = self._stale_rate = 0

    @property
    def is_over(self) -> bool:
        """Whether the training has ended."""
        return self._stale >= self._stop_patience or self._epochs_left <= 0

    def judge(self, accuracy: float, loss: float) -> bool:
        """Take note of an epoch's scores on the validation part; return whether it is the one to keep."""
        self._epochs_left -= 1
        is_progress = accuracy > self._best[0]
        self._stale = 0 if is_progress else self._stale + 1
        self._stale_rate = 0 if is_progress else self._stale_rate + 1
        if self._stale_rate > self._lr_patience:
            self.learning_rate /= 2
            self._stale_rate = 0
        is_kept = merit(accuracy, loss) > self._best
        if is_kept:
            self._best = merit(accuracy, loss)
        return is_kept
