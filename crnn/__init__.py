"""Train readers of text lines: backbones, data, synthesis, training."""
