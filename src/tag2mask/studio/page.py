"""The page itself, in Gradio."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tag2mask.config.schema import CrfConfig
from tag2mask.core.errors import ConfigError, Tag2MaskError
from tag2mask.core.extras import require
from tag2mask.studio.workbench import FORMATS, Choice, Photo, View, Workbench

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_UPLOAD = "40mb"


class Page:
    """The handlers of the page around one `Workbench`; `build` lays it out."""

    def __init__(self, bench: Workbench):
        self.gr: Any = require("app", "the page", "gradio")
        self.bench = bench
        prediction = bench.predictor.config.prediction
        self.gate, self.crf = prediction.gate, prediction.crf
        self.names = bench.queue()

    def build(self) -> Any:
        """The page as `gradio.Blocks`."""
        gr = self.gr
        with gr.Blocks(title="tag2mask", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
            gr.Markdown("# tag2mask\nMasks from tags: open a photograph, say what is in it, see where it is.")
            message = gr.Markdown("", elem_id="message")
            state = gr.State(None)
            with gr.Row():
                with gr.Column(scale=1, min_width=300):
                    inputs = self._inputs()
                with gr.Column(scale=2, min_width=320):
                    outputs = self._outputs()
            shown = [message, state, outputs["result"], outputs["steps"], outputs["found"], outputs["editor"]]
            controls = [inputs[name] for name in ("free", "tags", "gate", "on", "weight", "xy", "rgb", "iterations")]
            looks = [*controls, inputs["opacity"]]
            inputs["upload"].upload(self.on_upload, [inputs["upload"], *looks], shown)
            inputs["pick"].input(self.on_pick, [inputs["pick"], *looks], [*shown, inputs["tags"], inputs["free"]])
            for step, button in ((-1, inputs["previous"]), (1, inputs["next"])):
                button.click(
                    self._walker(step),
                    [inputs["pick"], *looks],
                    [*shown, inputs["tags"], inputs["free"], inputs["pick"]],
                )
            for control in controls:
                control.change(self.on_change, [state, *looks], shown, trigger_mode="always_last")
            inputs["opacity"].change(
                self.on_opacity, [state, inputs["opacity"]], outputs["result"], trigger_mode="always_last"
            )
            corrected = [state, outputs["editor"]]
            painted = "(state, text, other) => [state, window.tag2mask.value(), other]"
            inputs["keep"].click(self.on_keep, [*corrected, inputs["pick"]], message, js=painted)
            download = [*corrected, outputs["format"]]
            outputs["download"].click(self.on_export, download, [message, outputs["file"]], js=painted)
        return page

    def _inputs(self) -> dict[str, Any]:
        gr, found = self.gr, {}
        found["upload"] = gr.File(
            label="Photograph", file_types=["image"], type="filepath", elem_id="upload", height=120
        )
        with gr.Group(visible=bool(self.names)):
            found["pick"] = gr.Dropdown(
                self.names, value=None, label="or one of the collection, the least certain first", elem_id="pick"
            )
            with gr.Row():
                found["previous"] = gr.Button("Previous (p)", elem_id="previous", size="sm")
                found["next"] = gr.Button("Next (n)", elem_id="next", size="sm")
                found["keep"] = gr.Button("Keep correction (k)", elem_id="keep", size="sm", variant="primary")
        found["free"] = gr.Checkbox(True, label="let the network say what is there", elem_id="free")
        found["tags"] = gr.CheckboxGroup(list(self.bench.classes), label="Tags", elem_id="tags")
        found["opacity"] = gr.Slider(0, 1, 0.5, step=0.05, label="Opacity", elem_id="opacity")
        found["gate"] = gr.Slider(0, 1, self.gate, step=0.01, label="Gate: least tag probability", elem_id="gate")
        with gr.Accordion("Dense CRF", open=True):
            crf = self.crf
            found["on"] = gr.Checkbox(crf.enabled, label="on", elem_id="crf-on")
            found["weight"] = gr.Slider(
                0, 20, crf.bilateral_weight, step=0.5, label="Bilateral weight", elem_id="crf-weight"
            )
            found["xy"] = gr.Slider(1, 150, crf.bilateral_xy, step=1, label="Reach in pixels", elem_id="crf-xy")
            found["rgb"] = gr.Slider(1, 50, crf.bilateral_rgb, step=0.5, label="Tolerance in colour", elem_id="crf-rgb")
            found["iterations"] = gr.Slider(1, 30, crf.iterations, step=1, label="Iterations", elem_id="crf-iterations")
        return found

    def _outputs(self) -> dict[str, Any]:
        gr, found = self.gr, {}
        with gr.Tabs():
            with gr.Tab("Mask"):
                found["result"] = gr.Image(label="Mask", format="png", interactive=False, elem_id="result")
                found["found"] = gr.Label(label="What the network finds", num_top_classes=8, elem_id="found")
            with gr.Tab("Steps"):
                found["steps"] = gr.Gallery(label="Steps of the method", columns=3, format="png", elem_id="steps")
            with gr.Tab("Correct") as tab:
                gr.HTML(_painter(self.bench))
                found["editor"] = gr.Textbox(visible="hidden", elem_id="paint-data")
                found["editor"].change(None, found["editor"], js="(text) => { window.tag2mask.load(text); }")
            tab.select(None, js="() => { setTimeout(window.tag2mask.draw, 50); }")
        with gr.Row():
            found["format"] = gr.Dropdown(list(FORMATS), value="PNG mask", label="Format", elem_id="format")
            found["download"] = gr.Button("Make a file of this mask", elem_id="export")
            found["file"] = gr.File(label="Download", interactive=False, height=110, elem_id="download")
        return found

    def choice(self, values: list[Any]) -> Choice:
        """What the controls say."""
        free, tags, gate, on, weight, xy, rgb, iterations = values
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
        return Choice(None if free else tuple(sorted(tags or ())), float(gate), crf)

    def on_upload(self, path: str | None, *looks: Any) -> list[Any]:
        """A file has come."""
        if path is None:
            return self._nothing()
        return self._guarded(lambda: self._shown(self.bench.open(Path(path)), list(looks)))

    def on_pick(self, name: str | None, *looks: Any) -> list[Any]:
        """A photograph of the collection was chosen; its tags come with it."""
        if not name or name not in self.bench.records:
            return [*self._nothing(), self.gr.skip(), self.gr.skip()]
        item = self.bench.records[name]
        tags = sorted(item.present)
        values = [False, tags, *looks[2:]]
        shown = self._guarded(lambda: self._shown(self.bench.open(item.path, name), values, self.bench.kept(name)))
        return [*shown, tags, False]

    def _walker(self, step: int) -> Callable[..., list[Any]]:
        def walk(name: str | None, *looks: Any) -> list[Any]:
            if not self.names:
                return [*self._nothing(), *([self.gr.skip()] * 3)]
            place = self.names.index(name) + step if name in self.names else 0
            chosen = self.names[max(0, min(len(self.names) - 1, place))]
            return [*self.on_pick(chosen, *looks), chosen]

        return walk

    def on_change(self, state: dict[str, Any] | None, *looks: Any) -> list[Any]:
        """A control was moved."""
        if state is None:
            return self._nothing()
        return self._guarded(lambda: self._shown(self.bench.photo(state["key"]), list(looks), before=state))

    def on_opacity(self, state: dict[str, Any] | None, opacity: float) -> Any:
        """The opacity was moved."""
        if state is None:
            return self.gr.skip()
        try:
            return _file(self.bench.overlaid(self.bench.photo(state["key"]), state["mask"], float(opacity)))
        except Tag2MaskError:
            return self.gr.skip()

    def on_keep(self, state: dict[str, Any] | None, painted: str, name: str | None) -> str:
        """Keep the correction in the run's folder."""
        try:
            if state is None or not name or state["name"] != name:
                return "Choose a photograph of the collection first."
            path = self.bench.keep(name, self.corrected(state, painted))
        except Tag2MaskError as error:
            return f"**{error}**"
        return f"Kept: `{path.name}`. Learn from all kept masks with `tag2mask train ... --corrected {path.parent}`."

    def on_export(self, state: dict[str, Any] | None, painted: str, kind: str) -> list[Any]:
        """Make a file to download."""
        if state is None:
            return ["Open a photograph first.", None]
        folder = Path(tempfile.mkdtemp(prefix="export-", dir=temporary_folder()))
        try:
            photo = self.bench.photo(state["key"])._replace(name=state["name"])
            return ["", str(self.bench.export(photo, self.corrected(state, painted), FORMATS[kind], folder))]
        except Tag2MaskError as error:
            return [f"**{error}**", None]

    def corrected(self, state: dict[str, Any], painted: str) -> NDArray[np.uint8]:
        """The mask as painted; as computed where there is no brush."""
        mask: NDArray[np.uint8] = state["mask"]
        return self.bench.unpacked(painted, (mask.shape[0], mask.shape[1])) if painted else mask

    def _shown(
        self,
        photo: Photo,
        looks: list[Any],
        kept: NDArray[np.uint8] | None = None,
        before: dict[str, Any] | None = None,
    ) -> list[Any]:
        *values, opacity = looks
        view: View = self.bench.look(photo, self.choice(values))
        mask = view.mask if kept is None or kept.shape != view.mask.shape else kept
        name = before["name"] if before is not None else photo.name
        state = {"key": photo.key, "name": name, "mask": mask}
        return [
            "",
            state,
            _file(self.bench.overlaid(photo, mask, float(opacity))),
            [(_file(picture), caption) for picture, caption in self.bench.pictures(photo, view)],
            view.tag_probs,
            self.bench.packed(photo, mask),
        ]

    def _guarded(self, work: Callable[[], list[Any]]) -> list[Any]:
        try:
            return work()
        except Tag2MaskError as error:
            text = str(error).replace(str(temporary_folder()), "").lstrip("/")
            return [f"**This cannot be used:** {text}", None, None, None, None, ""]

    def _nothing(self) -> list[Any]:
        return [self.gr.skip()] * 6


def _painter(bench: Workbench) -> str:
    """The brush's tools and canvas; `painter.js` moves them."""
    tools = ['<button type="button" data-class="0" aria-pressed="false">0 eraser</button>']
    for index, (name, colour) in enumerate(zip(bench.classes, bench.colours(), strict=True), start=1):
        swatch = f'<span class="swatch" style="background:rgb{colour}"></span>'
        pressed = str(index == 1).lower()
        label = f"{swatch}{index} {escape(name)}"
        tools.append(f'<button type="button" data-class="{index}" aria-pressed="{pressed}">{label}</button>')
    return (
        f'<div id="painter"><div role="group" aria-label="Class to paint">{"".join(tools)}</div>'
        '<label>Brush <input type="range" id="paint-size" min="1" max="80" value="14"></label>'
        '<button type="button" data-undo>Undo (u)</button></div>'
        "<p>Choose a class here or by its number, and paint on the photograph.</p>"
        '<canvas id="paint-canvas" hidden aria-label="Photograph with its mask, to paint on"></canvas>'
    )


def _file(picture: NDArray[np.uint8]) -> str:
    """A picture as a file of its own: Gradio would name it by its content, and write it again while it is read."""
    folder = temporary_folder() / "shown"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid4().hex}.png"
    Image.fromarray(picture).save(path, compress_level=1)
    return str(path)


def temporary_folder() -> Path:
    """Where uploads and files to download lie."""
    return Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio")


def build_page(bench: Workbench) -> Any:
    """The page as `gradio.Blocks`, to be launched or mounted."""
    return Page(bench).build()


def serve_page(
    bench: Workbench,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    password: str | None = None,
    block: bool = True,
) -> Any:
    """Show the page until interrupted; uploads lie in a folder of their own, which goes at the end.

    Args:
        bench: the network.
        host: address to listen on.
        port: 0 for any free one.
        password: asked of every visitor (user `tag2mask`); required unless `host` is loopback.
        block: wait until interrupted; else return the running `gradio.Blocks`, to be closed by the caller.

    Raises:
        ConfigError: an open address without a password, or a port in use.
    """
    if host not in LOOPBACK and not password:
        raise ConfigError(f"--host {host}: anyone who reaches this machine could use the page; add --password")
    gr: Any = require("app", "the page", "gradio")
    folder = Path(tempfile.mkdtemp(prefix="tag2mask-app-"))
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    page = build_page(bench)
    page.queue(default_concurrency_limit=8, max_size=64)
    fonts = ["system-ui", "sans-serif"]
    theme = gr.themes.Base(primary_hue="blue", font=fonts, font_mono=["ui-monospace", "monospace"])
    try:
        page.launch(
            server_name=host,
            server_port=port or None,
            auth=("tag2mask", password) if password else None,
            max_file_size=MOST_UPLOAD,
            theme=theme,
            css=(Path(__file__).parent / "page.css").read_text(encoding="utf-8"),
            head=f"<script>{(Path(__file__).parent / 'painter.js').read_text(encoding='utf-8')}</script>",
            footer_links=[],
            ssr_mode=False,
            share=False,
            quiet=True,
            prevent_thread_lock=not block,
        )
    except OSError as error:
        raise ConfigError(f"--port {port}: cannot listen on {host} ({error}); choose another --port") from None
    finally:
        if block:
            shutil.rmtree(folder, ignore_errors=True)
            os.environ.pop("GRADIO_TEMP_DIR")
            os.environ.update({} if before is None else {"GRADIO_TEMP_DIR": before})
    return page
