"""Drawings of masks and maps: overlays, heat maps, legends, and sheets of images with titles and captions."""

from tag2mask.drawing.heatmap import heatmap
from tag2mask.drawing.image import RgbImage
from tag2mask.drawing.legend import legend_strip
from tag2mask.drawing.overlay import overlay
from tag2mask.drawing.palette import Palette, palette_colours
from tag2mask.drawing.sheet import sheet

__all__ = ["Palette", "RgbImage", "heatmap", "legend_strip", "overlay", "palette_colours", "sheet"]
