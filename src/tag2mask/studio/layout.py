"""The controls of the page, in Gradio."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from tag2mask.config.schema import PredictionConfig
from tag2mask.studio.workbench import FORMATS, Workbench

CHOICE = ("network_decides", "tags", "gate", "crf_on", "crf_weight", "crf_xy", "crf_rgb", "crf_iterations")
"""Names of the controls that decide on the mask, in the order in which handlers get their values."""


def input_controls(gr: Any, bench: Workbench, queue: Sequence[str]) -> dict[str, Any]:
    """Controls of the left column by name.

    Args:
        gr: the module gradio.
        bench: the network.
        queue: names of the dataset's images; empty hides their controls.
    """
    found: dict[str, Any] = {}
    prediction = bench.segmenter.config.prediction
    found["upload"] = gr.File(label="Image", file_types=["image"], type="filepath", elem_id="upload", height=120)
    with gr.Group(visible=bool(queue)):
        found["pick"] = gr.Dropdown(
            list(queue), value=None, label="or one of the dataset, the least certain first", elem_id="pick"
        )
        with gr.Row():
            found["previous"] = gr.Button("Previous (p)", elem_id="previous", size="sm")
            found["next"] = gr.Button("Next (n)", elem_id="next", size="sm")
            found["keep"] = gr.Button("Keep correction (k)", elem_id="keep", size="sm", variant="primary")
    found["network_decides"] = gr.Checkbox(
        True, label="let the network decide which classes are present", elem_id="network-decides"
    )
    found["tags"] = gr.CheckboxGroup(list(bench.classes), label="Tags", elem_id="tags")
    found["opacity"] = gr.Slider(0, 1, 0.5, step=0.05, label="Opacity", elem_id="opacity")
    found["gate"] = gr.Slider(
        0, 1, prediction.gate, step=0.01, label="Gate: lowest tag probability of a class", elem_id="gate"
    )
    with gr.Accordion("Dense CRF", open=True):
        found |= _crf_controls(gr, prediction)
    return found


def _crf_controls(gr: Any, prediction: PredictionConfig) -> dict[str, Any]:
    crf = prediction.crf
    return {
        "crf_on": gr.Checkbox(crf.enabled, label="on", elem_id="crf-on"),
        "crf_weight": gr.Slider(0, 20, crf.bilateral_weight, step=0.5, label="Bilateral weight", elem_id="crf-weight"),
        "crf_xy": gr.Slider(1, 150, crf.bilateral_xy, step=1, label="Bilateral deviation in pixels", elem_id="crf-xy"),
        "crf_rgb": gr.Slider(
            1, 50, crf.bilateral_rgb, step=0.5, label="Bilateral deviation in colour", elem_id="crf-rgb"
        ),
        "crf_iterations": gr.Slider(1, 30, crf.iterations, step=1, label="Iterations", elem_id="crf-iterations"),
    }


def output_controls(gr: Any, bench: Workbench) -> dict[str, Any]:
    """Controls of the right column by name."""
    found: dict[str, Any] = {}
    with gr.Tabs():
        with gr.Tab("Mask"):
            found["result"] = gr.Image(label="Mask", format="png", interactive=False, elem_id="result")
            found["found"] = gr.Label(label="Classes that the network finds", num_top_classes=8, elem_id="found")
        with gr.Tab("Steps"):
            found["steps"] = gr.Gallery(label="Steps of the method", columns=3, format="png", elem_id="steps")
        with gr.Tab("Correct") as tab:
            gr.HTML(_painter(bench))
            found["editor"] = gr.Textbox(visible="hidden", elem_id="paint-data")
            found["editor"].change(None, found["editor"], js="(text) => { window.tag2mask.load(text); }")
        tab.select(None, js="() => { setTimeout(window.tag2mask.draw, 50); }")
    with gr.Row():
        found["format"] = gr.Dropdown(list(FORMATS), value="PNG mask", label="Format", elem_id="format")
        found["download"] = gr.Button("Make a file of this mask", elem_id="export")
        found["file"] = gr.File(label="Download", interactive=False, height=110, elem_id="download")
    return found


def _painter(bench: Workbench) -> str:
    """Tools and canvas of the brush; `painter.js` brings them to life."""
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
        "<p>Choose a class here or by its number, and paint on the image.</p>"
        '<canvas id="paint-canvas" hidden aria-label="Image with its mask, to paint on"></canvas>'
    )
