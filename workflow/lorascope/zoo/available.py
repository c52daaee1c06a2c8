"""Whether the images of a zoo are on this machine.

Apart from what reads them, because that code is part of a zoo's key.
"""

from pathlib import Path

from lorascope.errors import LorascopeError
from lorascope.zoo.recipe import Recipe


def check_images(recipe: Recipe) -> None:
    """Look for the one image source that does not come with the package, before anything runs.

    Raises:
        LorascopeError: Fashion-MNIST is asked for, and is not there.
    """
    folder = Path(recipe.fashion_folder)
    if "fashion" in recipe.images_source.split("+") and not list(folder.glob("t10k-*")):
        raise LorascopeError(
            f"zoo: no Fashion-MNIST in {folder}: "
            "install Debian's dataset-fashion-mnist, or set fashion_folder"
        )
