"""How the notebooks' plots look."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

BENIGN = "#4c78a8"
ATTACK = "#d1495b"
NEUTRAL = "#6b7280"
SERIES = ("#4c78a8", "#d1495b", "#2a9d8f", "#e9a23b", "#7b5ea7", "#6b7280")

plt.rcParams.update(
    {
        "figure.dpi": 90,
        "figure.constrained_layout.use": True,
        "font.size": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e5e7eb",
        "axes.axisbelow": True,
        "axes.titlesize": 10.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.prop_cycle": plt.cycler(color=SERIES),
        "legend.frameon": False,
        "image.cmap": "viridis",
    }
)


def shade(axes, spans) -> None:
    """Shades the time of attacks; `spans` are pairs of seconds."""
    for began, ended in spans:
        axes.axvspan(began, ended, color=ATTACK, alpha=0.13, linewidth=0)


def heat(axes, values, rows, columns, text="{:.2f}", **options):
    """A heat map with its numbers written in."""
    values = np.asarray(values, dtype=float)
    image = axes.imshow(values, aspect="auto", **options)
    axes.grid(False)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(labelsize=8.5)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            red, green, blue, _ = image.to_rgba(value)
            is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
            colour = "white" if is_dark else "black"
            shown = text.format(value)
            axes.text(column, row, shown, ha="center", va="center", color=colour, fontsize=8.5)
    return image
