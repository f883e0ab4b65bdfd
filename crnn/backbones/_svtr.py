"""Self-attention over the columns of a line, as SVTR mixes them (arXiv 2205.00159, section 3.3)."""

import torch.nn.functional as F
from torch import Tensor, nn

_HEADS = 8


class _Attention(nn.Module):
    """Every column looks at every other (arXiv 1706.03762, section 3.2.2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, F) -> the same."""
        # (N, T, 3F) -> 3, N, heads, T, F / heads
        parts = self.qkv(x).unflatten(2, (3, _HEADS, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        projected: Tensor = self.project(mixed.transpose(1, 2).flatten(2))
        return projected


class SVTRBlock(nn.Module):
    """Attention and a perceptron per column, each a residual behind a layer norm."""

    def __init__(self, width: int, expansion: int = 2) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = _Attention(width)
        self.perceptron_norm = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, expansion * width), nn.SiLU(), nn.Linear(expansion * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, F) -> the same."""
        x = x + self.attention(self.attention_norm(x))
        branch: Tensor = self.perceptron(self.perceptron_norm(x))
        return x + branch
