"""Drawings of masks and maps: overlays, heat maps, legends, and sheets of images with titles and captions."""

from tag2mask.drawing.heatmap import colour_bar, heatmap, ramp
from tag2mask.drawing.image import RgbImage
from tag2mask.drawing.legend import legend_strip
from tag2mask.drawing.overlay import overlay
from tag2mask.drawing.palette import Colour, Palette, palette_colours
from tag2mask.drawing.sheet import sheet

__all__ = [
    "Colour",
    "Palette",
    "RgbImage",
    "colour_bar",
    "heatmap",
    "legend_strip",
    "overlay",
    "palette_colours",
    "ramp",
    "sheet",
]
