"""Snakemake finds a logger by the name of its package; profiles choose this one: ``logger: [lorascope]``."""

from lorascope.screen.handler import LogHandler

__all__ = ["LogHandler"]
