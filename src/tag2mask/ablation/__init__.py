"""Ablation: a method, and the same without each of its parts, over seeds, in one table."""

from tag2mask.ablation.plan import Ablation, Source, load_ablation
from tag2mask.ablation.run import run_ablation

__all__ = ["Ablation", "Source", "load_ablation", "run_ablation"]
