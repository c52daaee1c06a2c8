"""Settings of one training run."""

from dataclasses import asdict, dataclass, field

from lorascope.sparse.vit import ViTSettings


@dataclass(frozen=True)
class TrainSettings:
    """How a run trains; see ``sparse`` in the config schema.

    Attributes:
        gate: ``name`` or ``name@rate``.
        target_activation_rate: of a gate that names no rate.
    """

    gate: str
    target_activation_rate: float = 0.06
    epochs: int = 20
    batch: int = 64
    learning_rate: float = 0.002
    weight_decay: float = 0.01
    clip: float = 1.0
    crop: int = 0
    flip: bool = False
    precision: str = "auto"
    compile: str = "auto"
    vit: ViTSettings = field(default_factory=ViTSettings)

    @classmethod
    def from_json(cls, settings: dict) -> "TrainSettings":
        """Build from plain JSON values, ``vit`` a map."""
        return cls(**{**settings, "vit": ViTSettings(**settings.get("vit", {}))})

    def to_json(self) -> dict:
        """Return plain JSON values."""
        return asdict(self)
