"""Weights in files: this project's own checkpoints and those that others publish."""

from crnn.checkpoints.checkpoint import Checkpoint, save_checkpoint
from crnn.checkpoints.load import load_checkpoint, load_model

__all__ = ["Checkpoint", "load_checkpoint", "load_model", "save_checkpoint"]
