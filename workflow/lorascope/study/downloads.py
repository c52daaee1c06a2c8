"""The key of a download: what is fetched, and not by which code."""

from lorascope.data.hub.pins import Pin
from lorascope.study.keys import key_of


def download_key(pin: Pin) -> str:
    """Return the key of a data set's files at a commit."""
    return key_of("download", pin.path, pin.commit, [file._asdict() for file in pin.files])
