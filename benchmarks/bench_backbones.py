"""Try networks of many families as backbones, and write what was found into the package and `docs/backbones.md`.

    python benchmarks/bench_backbones.py [NAME ...] [--again] [--sample 200] [--docs-only]

Each network has random weights. It sees images of odd sizes, is trained for two epochs on a dozen generated images,
predicts images of odd sizes, and is compared with its ONNX file. `--sample` draws so many names of all that timm has,
and finds out how each would be built: feature maps, or an error that says why not. What was found is kept in
`src/tag2mask/models/backbones/verified.json`; names that are in there are skipped, so a run that was cut short goes on.
Last line: `backbones 62 families 54 trained 62 onnx 60 sample 200 maps 200`.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from timm.models import model_entrypoint

from tag2mask import Dataset, Segmenter, train
from tag2mask.core.errors import ConfigError
from tag2mask.models.backbone import Backbone
from tag2mask.models.backbones.plan import plan_network

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.helpers import draw_shapes, write_shapes  # noqa: E402

RESULTS = ROOT / "src" / "tag2mask" / "models" / "backbones" / "verified.json"
PAGE = ROOT / "docs" / "backbones.md"

NAMES = (
    *("test_convnext", "test_efficientnet", "test_vit", "test_nfnet", "test_mambaout", "test_byobnet", "test_resnet"),
    *("starnet_s050", "test_coatnet", "test_vit_relpos", "dla46x_c", "test_maxvit", "mobilevit_xxs"),
    *("edgenext_xx_small", "mobilenetv3_small_050", "ese_vovnet19b_slim_dw", "mobilenetv4_conv_small_035"),
    *("mobilenetv2_050", "repghostnet_050", "efficientvit_m0", "ghostnet_050", "regnetx_002", "cspnext_tiny"),
    *("iformer_t", "xcit_nano_12_p8_224", "cs3darknet_focus_s", "efficientvit_b0", "swiftformer_xs"),
    *("efficientformerv2_s0", "pvt_v2_b0", "convnext_atto", "fasternet_t0", "fastvit_t8", "lcnetv2_small"),
    *("inception_next_atto", "tf_efficientnet_lite0", "rexnet_100", "pit_ti_224", "repvit_m1"),
    *("vit_tiny_patch16_dinov3_qkvb", "coat_tiny", "eva02_tiny_patch14_224", "vit_pe_spatial_tiny_patch16_512"),
    *("convit_tiny", "deit_tiny_patch16_224", "gmlp_ti16_224", "deit_tiny_distilled_patch16_224", "hgnetv2_b0"),
    *("tf_efficientnet_lite2", "shvit_s1", "cpubone_nano", "efficientvim_m1", "crossvit_tiny_240", "levit_128s"),
    *("densenet121", "vit_xsmall_patch16_clip_224", "dpn48b", "visformer_tiny", "resnest14d", "csatv2"),
    *("resnetv2_18", "resnet18", "legacy_seresnet18", "poolformerv2_s12", "cait_xxs24_224", "skresnet18"),
    *("gcvit_xxtiny", "tiny_vit_5m_224", "efficientformer_l1", "hrnet_w18_small", "lowformer_b0", "nest_tiny"),
    *("convmixer_768_32", "vit_small_patch16_dinov3", "vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2"),
    *("vitamin_small_224", "legacy_xception", "vit_small_patch32_224", "tnt_s_legacy_patch16_224", "inception_v3"),
    *("rdnet_tiny", "twins_svt_small", "mvitv2_tiny", "resnet50", "volo_d1_224", "sam2_hiera_tiny", "xception41p"),
    *("hiera_tiny_224", "swin_tiny_patch4_window7_224", "swin_s3_tiny_224", "swinv2_cr_tiny_224"),
    *("swinv2_tiny_window8_256", "davit_tiny", "focalnet_tiny_srf", "selecsls42", "tresnet_m", "nextvit_small"),
    *("vit_base_patch16_siglip_gap_224", "beit_base_patch16_224", "naflexvit_base_patch16_gap", "qwen3_vit_88m"),
    *("vgg11",),
)
"""Small members of their families, those of the fewest parameters first; base sizes where there is no smaller one."""

OPTIONS: dict[str, Any] = {
    "data.image_size": 96,
    "data.crop_size": 64,
    "data.workers": 0,
    "model.weights": "none",
    "model.head_channels": 32,
    "masks.scales": [1.0],
    "masks.crf.enabled": False,
    "prediction.crf.enabled": False,
    "prediction.scales": [1.0],
    "prediction.flip": False,
    "training.epochs": 2,
    "training.batch_size": 6,
    "training.loggers": [],
    "training.precision": "32-true",
}
ODD = ((61, 83), (131, 40))
Result = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="these alone, not those of the list")
    parser.add_argument("--again", action="store_true", help="also names that were tried before")
    parser.add_argument(
        "--sample", type=int, default=0, help="so many names of all that timm has, by their shapes alone"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--docs-only", action="store_true", help="write the page from what is known")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    known = read_results()
    if not args.docs_only:
        with tempfile.TemporaryDirectory() as temporary:
            dataset = make_dataset(Path(temporary))
            for name in args.names or NAMES:
                if name in known["backbones"] and not args.again:
                    continue
                known["backbones"][name] = try_backbone(name, dataset, Path(temporary) / "run")
                write_results(known)
                print(f"{name}: {json.dumps(known['backbones'][name])}", flush=True)
        for name in random.Random(args.seed).sample(timm.list_models(), args.sample):
            if name not in known["sample"] or args.again:
                known["sample"][name] = try_name(name)
                write_results(known)
                print(f"{name}: {known['sample'][name]}", flush=True)
    PAGE.write_text(page(known), encoding="utf-8")
    print(last_line(known))


def read_results() -> Result:
    """What is known so far."""
    empty: Result = {"timm": timm.__version__, "backbones": {}, "sample": {}}
    if not RESULTS.is_file():
        return empty
    known: Result = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {**empty, **known}


def write_results(known: Result) -> None:
    """Keep what is known."""
    known["backbones"] = dict(sorted(known["backbones"].items(), key=lambda item: (item[1]["family"], item[0])))
    text = json.dumps({**known, "timm": timm.__version__}, indent=1)
    RESULTS.write_text(text + "\n", encoding="utf-8")


def make_dataset(folder: Path) -> Dataset:
    """A dozen images of discs and squares with their tags."""
    shapes = write_shapes(folder / "shapes", 12)
    return Dataset.load(shapes.images, shapes.tags, classes=shapes.class_file)


def try_backbone(name: str, dataset: Dataset, out: Path) -> Result:
    """All steps with one network; a step that fails holds its error."""
    started = time.perf_counter()
    family = model_entrypoint(name).__module__.rpartition(".")[2]
    result: Result = {"family": family}
    try:
        backbone = Backbone(name, output_stride=16, freeze_norm=True).eval()
    except ConfigError as error:
        return {**result, "refused": str(error)}
    result |= {
        "parameters": sum(parameter.numel() for parameter in backbone.parameters()),
        "stride": backbone.strides[-1],
        "channels": backbone.channels[-1],
        "stages": len(backbone.channels),
        "input_multiple": backbone.input_multiple,
        "fixed_size": backbone.fixed_size,
        "attention": _attention(backbone),
        "forward": _tried(lambda: _forward(backbone)),
    }
    run = out / name

    def learn() -> None:
        train(dataset, run, options={**OPTIONS, "model.backbone": name})

    result["trains"] = _tried(learn)
    if result["trains"] == "yes":
        segmenter = Segmenter.from_pretrained(run, device="cpu")
        result["predicts"] = _tried(lambda: _predict(segmenter))
        try:
            result["onnx"] = _parity(segmenter, out / f"{name}.onnx")
        except Exception as error:  # kept as the result of this step
            result["onnx"] = _reason(error)
    result["seconds"] = round(time.perf_counter() - started)
    shutil.rmtree(out, ignore_errors=True)
    gc.collect()
    return result


def _tried(step: Callable[[], None]) -> str:
    """'yes', or the error of a step."""
    try:
        step()
    except Exception as error:  # kept as the result of this step
        return _reason(error)
    return "yes"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().partition("\n")[0][:200]


def _attention(backbone: Backbone) -> bool:
    side = 4 * backbone.input_multiple
    with torch.no_grad():
        return backbone.attention(torch.zeros(1, 3, side, side), 1) is not None


def _forward(backbone: Backbone) -> None:
    """Images of odd sizes give finite maps of the channels that the backbone states.

    Raises:
        ValueError: they do not.
    """
    for size in (*ODD, (1, 1)):
        with torch.no_grad():
            features = backbone(torch.randn(2, 3, *size))
        if [feature.shape[1] for feature in features] != list(backbone.channels):
            raise ValueError(f"channels {[feature.shape[1] for feature in features]}, not {backbone.channels}")
        if not all(torch.isfinite(feature).all() for feature in features):
            raise ValueError("features are not finite")


def _predict(segmenter: Segmenter) -> None:
    """Masks of images of odd sizes have their sizes.

    Raises:
        ValueError: one has not.
    """
    for size in ODD:
        mask = segmenter.predict(draw_shapes(("disc", "square"), size=size, seed=5)[0]).mask
        if mask.shape != size:
            raise ValueError(f"a mask of {mask.shape} for an image of {size}")


def _parity(segmenter: Segmenter, path: Path) -> float:
    """Largest difference of a pixel or tag logit between PyTorch and ONNX Runtime, on images of two sizes.

    Divided by the largest logit, where that is above 1.
    """
    segmenter.export_onnx(path)
    portable = Segmenter.from_pretrained(path)
    path.unlink()
    multiple = portable.backend.input_multiple
    worst = 0.0
    for rows, columns in ((4, 6), (7, 5)):
        size = (rows * multiple, columns * multiple)
        image = draw_shapes(("disc", "square"), size=size, seed=5)[0]
        [expected], [found] = (one.backend.run(image[None]) for one in (segmenter, portable))
        for attribute in ("tag_logits", "pixel_logits"):
            one, other = getattr(expected, attribute), getattr(found, attribute)
            worst = max(worst, float(np.abs(one - other).max() / max(1.0, np.abs(one).max())))
    return worst


def try_name(name: str) -> str:
    """'maps', or why a network cannot be a backbone."""
    try:
        plan_network(name, 16, {})
    except ConfigError as error:
        return str(error)
    return "maps"


def page(known: Result) -> str:
    """The page of the docs."""
    rows = [row(name, one) for name, one in known["backbones"].items()]
    families = len({one["family"] for one in known["backbones"].values()})
    sample = known["sample"]
    maps = sum(found == "maps" for found in sample.values())
    lines = [
        "# Backbones",
        "",
        "<!-- Written by `python benchmarks/bench_backbones.py`; its text stands there. -->",
        "",
        INTRODUCTION.strip(),
        "",
        "## What was tried",
        "",
        f"{len(rows)} networks of {families} families of timm {known['timm']}, with random weights, on one core: "
        "images of odd sizes through the network, two epochs of `tag2mask train` on a dozen images, prediction of "
        "images of odd sizes, and the largest difference of a logit between PyTorch and the ONNX file (divided by the "
        "largest logit where that is above 1: random weights can make it 1e9). The smallest member stands for its "
        "family. `tag2mask backbones` prints the table.",
        "",
        "| name | family | parameters, M | stride | input | trains | predicts | ONNX |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    ]
    if reasons := failures(known):
        lines += ["", "Where it says no:", "", *reasons]
    if sample:
        lines += [
            "",
            f"Of {len(sample)} names drawn at random from all {len(timm.list_models())} of timm, {maps} have feature "
            f"maps; {len(sample) - maps} are refused with the reason."
            + "".join(f"\n- `{name}`: {found}" for name, found in sample.items() if found != "maps"),
        ]
    return "\n".join(lines) + "\n"


INTRODUCTION = """
`model.backbone` is the name of any timm network that yields feature maps: convolutional networks, hierarchical
transformers (Swin, MaxViT, Hiera), plain vision transformers of any patch (DeiT, DINOv2, DINOv3, CLIP, SigLIP, EVA02,
BEiT). Only networks without maps are refused, before anything is trained, with the reason.

- **Stages.** Those of timm's `features_only`. Of a plain vision transformer, four evenly spaced blocks; the last one
  goes through the final norm, and class and register tokens are cut off.
- **Stride.** `model.output_stride` is 16 unless it is set. Convolutional networks that can are dilated to it; another
  network keeps its own (14 with patches of 14, 32 for Swin), which is logged. A stride that was asked for by name and
  that the network cannot have is an error.
- **Input.** Images are resized to the long side `data.image_size`, both sides rounded to the multiple in the table.
  Where the table has a size, such as 224 x 224, the network takes only that: every image is resized to it inside the
  network, whatever its aspect ratio, and the maps have the grid of that size. Many of these networks can be built for
  another size, `model.backbone_args: {img_size: 448}`; timm resamples the positions of pretrained weights for some of
  them (BEiT, CoAtNet), and loading says where it cannot (CaiT, GC-ViT, Hiera).
- **Weights.** A safetensors file under timm's names, a folder with one of each backbone
  ([a folder of weights](recipes.md#a-folder-of-weights)), `hub`, or `package`
  ([weights without a hub](recipes.md#weights-without-a-hub)). Position embeddings of another grid are resampled.
- **From Python**, `Backbone.attention(images, blocks=3)` gives the attention of a vision transformer's last blocks
  from patch to patch and from the class token to the patches, and `Backbone(..., with_head=True)` one more stage, the
  convolution before the classifier (EfficientNet, MobileNet).
"""


def row(name: str, one: Result) -> str:
    """A row of the table."""
    if "refused" in one:
        return f"| `{name}` | {one['family']} | | | {one['refused']} | | | |"
    size = one["fixed_size"]
    takes = f"{size[0]} x {size[1]}" if size else f"multiples of {one['input_multiple']}"
    onnx = one.get("onnx", "")
    shown = f"{onnx:.0e}" if isinstance(onnx, float) else _word(onnx)
    cells = [f"`{name}`", one["family"], f"{one['parameters'] / 1e6:.1f}", one["stride"], takes]
    return (
        "| "
        + " | ".join(str(cell) for cell in (*cells, _word(one["trains"]), _word(one.get("predicts", "")), shown))
        + " |"
    )


def _word(found: str) -> str:
    return found if found in ("", "yes") else "no"


def failures(known: Result) -> list[str]:
    """What did not work, a line a step."""
    return [
        f"- `{name}`, {step}: {one[step]}"
        for name, one in known["backbones"].items()
        for step in ("forward", "trains", "predicts", "onnx")
        if isinstance(one.get(step), str) and one[step] != "yes"
    ]


def last_line(known: Result) -> str:
    """What came out, in one line."""
    every = list(known["backbones"].values())
    return (
        f"backbones {len(every)} families {len({one['family'] for one in every})} "
        f"trained {sum(one.get('trains') == 'yes' for one in every)} "
        f"onnx {sum(isinstance(one.get('onnx'), float) for one in every)} "
        f"sample {len(known['sample'])} maps {sum(found == 'maps' for found in known['sample'].values())}"
    )


if __name__ == "__main__":
    main()
