"""A page in the browser: try a trained network, see each step of the method, correct masks."""

from tag2mask.studio.server import open_page, serve_page
from tag2mask.studio.workbench import Workbench

__all__ = ["Workbench", "open_page", "serve_page"]
