"""Sub-commands around adaptive sparse training: its images, the comparison of gates, the page."""

import argparse

from lorascope.cli.options import json_map, origin_of, step


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    images = step(commands, "sparse-images", _images, "prepare images for sparse training")
    images.add_argument(
        "--settings", type=json_map, default={}, help='JSON such as {"source": "fashion"} (default: digits)'
    )
    images.add_argument("--out", required=True, help="folder to write into")


def _images(options: argparse.Namespace) -> None:
    from lorascope.sparse.prepare import prepare_images
    from lorascope.study import steps
    from lorascope.study.config import load_section

    settings = load_section("sparse", {"images": options.settings})["images"]
    prepare_images(settings, options.out, origin_of(options, settings, *steps.SPARSE_IMAGES))
