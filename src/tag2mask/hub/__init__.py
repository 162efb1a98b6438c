"""Trained networks on the Hugging Face Hub: safetensors and YAML, nothing that can run code."""

from tag2mask.hub.card import model_card
from tag2mask.hub.transfer import fetch, is_hub_name, push_to_hub

__all__ = ["fetch", "is_hub_name", "model_card", "push_to_hub"]
