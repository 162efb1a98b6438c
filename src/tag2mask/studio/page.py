"""The page: what happens when a person uses its controls."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.config.schema import CrfConfig
from tag2mask.core.errors import Tag2MaskError
from tag2mask.core.extras import require
from tag2mask.core.files import make_folder
from tag2mask.studio.layout import CHOICE, input_controls, output_controls
from tag2mask.studio.workbench import FORMATS, Choice, OpenImage, Workbench


@dataclass(frozen=True, slots=True)
class Shown:
    """What a visitor sees: the key and the name of an image, and its mask as computed or as kept before."""

    key: str
    name: str
    mask: NDArray[np.uint8]


class Page:
    """Handlers of the page around one `Workbench`; `build` lays it out.

    A handler gets the values of controls and returns new ones. `looks` are the values of the controls `CHOICE` and of
    the opacity.
    """

    def __init__(self, bench: Workbench, folder: Path):
        """Take a network.

        Args:
            bench: the network.
            folder: for the files that are shown and downloaded; Gradio must be allowed to send them.
        """
        self.gr: Any = require("app", "the page", "gradio")
        self.bench = bench
        self.folder = folder
        self.crf = bench.segmenter.config.prediction.crf
        self.names = bench.queue()

    def build(self) -> Any:
        """The page as `gradio.Blocks`."""
        gr = self.gr
        with gr.Blocks(title="tag2mask", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
            gr.Markdown("# tag2mask\nMasks from tags: open an image, say which classes are in it, see where they are.")
            message = gr.Markdown("", elem_id="message")
            state = gr.State(None)
            with gr.Row():
                with gr.Column(scale=1, min_width=300):
                    inputs = input_controls(gr, self.bench, self.names)
                with gr.Column(scale=2, min_width=320):
                    outputs = output_controls(gr, self.bench)
            self._connect_images(inputs, outputs, message, state)
            self._connect_masks(inputs, outputs, message, state)
        return page

    def _connect_images(self, inputs: dict[str, Any], outputs: dict[str, Any], message: Any, state: Any) -> None:
        """Connect the controls that open an image or change its mask."""
        shown = [message, state, outputs["result"], outputs["steps"], outputs["found"], outputs["editor"]]
        looks = [*(inputs[name] for name in CHOICE), inputs["opacity"]]
        tagged = [*shown, inputs["tags"], inputs["network_decides"]]
        inputs["upload"].upload(self.on_upload, [inputs["upload"], *looks], shown)
        inputs["pick"].input(self.on_pick, [inputs["pick"], *looks], tagged)
        for step, button in ((-1, inputs["previous"]), (1, inputs["next"])):
            button.click(self._walker(step), [inputs["pick"], *looks], [*tagged, inputs["pick"]])
        for name in CHOICE:
            inputs[name].change(self.on_change, [state, *looks], shown, trigger_mode="always_last")
        inputs["opacity"].change(
            self.on_opacity, [state, inputs["opacity"]], outputs["result"], trigger_mode="always_last"
        )

    def _connect_masks(self, inputs: dict[str, Any], outputs: dict[str, Any], message: Any, state: Any) -> None:
        """Connect the controls that take the painted mask."""
        corrected = [state, outputs["editor"]]
        painted = "(state, text, other) => [state, window.tag2mask.value(), other]"
        inputs["keep"].click(self.on_keep, [*corrected, inputs["pick"]], message, js=painted)
        outputs["download"].click(
            self.on_export, [*corrected, outputs["format"]], [message, outputs["file"]], js=painted
        )

    def choice(self, values: list[Any]) -> Choice:
        """What the controls `CHOICE` say."""
        network_decides, tags, gate, on, weight, xy, rgb, iterations = values
        crf = self.crf.model_copy(
            update={
                "enabled": bool(on),
                "bilateral_weight": float(weight),
                "bilateral_xy": float(xy),
                "bilateral_rgb": float(rgb),
                "iterations": int(iterations),
            }
        )
        CrfConfig.model_validate(crf.model_dump())
        return Choice(None if network_decides else tuple(sorted(tags or ())), float(gate), crf)

    def on_upload(self, path: str | None, *looks: Any) -> list[Any]:
        """A file was uploaded."""
        if path is None:
            return self._unchanged()
        return self._guarded(lambda: self._show(self.bench.open(Path(path)), list(looks)))

    def on_pick(self, name: str | None, *looks: Any) -> list[Any]:
        """An image of the dataset was chosen; its tags come with it."""
        if not name or name not in self.bench.records:
            return [*self._unchanged(), self.gr.skip(), self.gr.skip()]
        record = self.bench.records[name]
        tags = sorted(record.present)
        values = [False, tags, *looks[2:]]
        shown = self._guarded(lambda: self._show(self.bench.open(record.path, name), values, self.bench.kept(name)))
        return [*shown, tags, False]

    def _walker(self, step: int) -> Callable[..., list[Any]]:
        def walk(name: str | None, *looks: Any) -> list[Any]:
            if not self.names:
                return [*self._unchanged(), *([self.gr.skip()] * 3)]
            index = self.names.index(name) + step if name in self.names else 0
            chosen = self.names[max(0, min(len(self.names) - 1, index))]
            return [*self.on_pick(chosen, *looks), chosen]

        return walk

    def on_change(self, state: Shown | None, *looks: Any) -> list[Any]:
        """A control of `CHOICE` was moved."""
        if state is None:
            return self._unchanged()
        return self._guarded(lambda: self._show(self._open_image(state), list(looks)))

    def on_opacity(self, state: Shown | None, opacity: float) -> Any:
        """The opacity was moved."""
        if state is None:
            return self.gr.skip()
        try:
            return self._file(self.bench.overlaid(self._open_image(state), state.mask, float(opacity)))
        except Tag2MaskError:  # not in memory any more: what is shown stays
            return self.gr.skip()

    def on_keep(self, state: Shown | None, painted: str, name: str | None) -> str:
        """Keep the correction in the run's folder."""
        try:
            if state is None or not name or state.name != name:
                return "Choose an image of the dataset first."
            path = self.bench.keep(name, self.corrected(state, painted))
        except Tag2MaskError as error:
            return f"**{error}**"
        return f"Kept: `{path.name}`. All kept masks are in `{path.parent}`; train on them as corrected masks."

    def on_export(self, state: Shown | None, painted: str, name: str) -> list[Any]:
        """Make a file to download, in the format of that name."""
        if state is None:
            return ["Open an image first.", None]
        folder = Path(tempfile.mkdtemp(prefix="export-", dir=self.folder))
        try:
            mask = self.corrected(state, painted)
            return ["", str(self.bench.export(self._open_image(state), mask, FORMATS[name], folder))]
        except Tag2MaskError as error:
            return [f"**{error}**", None]

    def corrected(self, state: Shown, painted: str) -> NDArray[np.uint8]:
        """The mask as painted; as computed where nothing was painted."""
        height, width = state.mask.shape
        return self.bench.unpacked(painted, (height, width)) if painted else state.mask

    def _open_image(self, state: Shown) -> OpenImage:
        """The image of a visitor, under the visitor's name for it."""
        return self.bench.opened(state.key)._replace(name=state.name)

    def _show(self, image: OpenImage, looks: list[Any], kept: NDArray[np.uint8] | None = None) -> list[Any]:
        """New values of message, state, result, steps, found and editor."""
        *values, opacity = looks
        view = self.bench.segment(image, self.choice(values))
        mask = view.mask if kept is None or kept.shape != view.mask.shape else kept
        return [
            "",
            Shown(image.key, image.name, mask),
            self._file(self.bench.overlaid(image, mask, float(opacity))),
            [(self._file(drawing), caption) for drawing, caption in self.bench.step_drawings(image, view)],
            view.tag_probs,
            self.bench.packed(image, mask),
        ]

    def _guarded(self, work: Callable[[], list[Any]]) -> list[Any]:
        try:
            return work()
        except Tag2MaskError as error:  # without the paths of this machine
            text = str(error).replace(str(self.folder), "").lstrip("/")
            return [f"**This cannot be used:** {text}", None, None, None, None, ""]

    def _unchanged(self) -> list[Any]:
        return [self.gr.skip()] * 6

    def _file(self, drawing: NDArray[np.uint8]) -> str:
        """A drawing as a file: Gradio would name it by its content, and overwrite it while it is read."""
        path = make_folder(self.folder / "shown") / f"{uuid4().hex}.png"
        Image.fromarray(drawing).save(path, compress_level=1)
        return str(path)
