"""The tag classifier's start from a logistic regression on the pretrained features."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from tag2mask.config.schema import Config
from tag2mask.data import Dataset
from tag2mask.images.decode import read_image
from tag2mask.inference.backends.torch import TorchBackend
from tag2mask.models import build_network
from tag2mask.models.inputs import normalise
from tag2mask.training.fit import fit
from tag2mask.training.losses import tag_loss
from tag2mask.training.probe import fit_classifier, is_probed, start_classifier
from tests.helpers import TinyDataset, write_shapes


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyDataset:
    return write_shapes(tmp_path_factory.mktemp("shapes"), 24)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stand-in for pretrained weights: random ones."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "test_resnet.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    return path


def config(weights: Path | str, **options: object) -> Config:
    return Config().override(
        {
            "data.image_size": 64,
            "data.crop_size": 64,
            "data.workers": 0,
            "model.backbone": "test_resnet",
            "model.weights": str(weights),
            "model.head_channels": 16,
            "training.epochs": 2,
            "training.batch_size": 8,
            "training.precision": "32-true",
            "training.loggers": [],
            **options,
        }
    )


@pytest.fixture(scope="module")
def dataset(tiny: TinyDataset) -> Dataset:
    return Dataset.load(tiny.images, tiny.tags, classes=tiny.class_file)


def test_the_fit_minimises_its_loss() -> None:
    draw = torch.Generator().manual_seed(1)
    features = torch.randn(60, 5, generator=draw) * torch.tensor([1.0, 3.0, 0.1, 10.0, 1.0]) + 2
    tags = (features[:, :2] + torch.randn(60, 2, generator=draw) > 2).to(torch.int8)
    tags[::7, 1] = -1
    weight, bias = fit_classifier(features, tags, decay=0.02)

    deviation = features.std(dim=0, correction=0)

    def loss(weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return tag_loss(features @ weight.T + bias, tags) + 0.02 * (weight * deviation).square().sum()

    free = [weight.clone().requires_grad_(), bias.clone().requires_grad_()]
    gradients = torch.autograd.grad(loss(*free), free)
    assert max(float((gradient / (deviation if gradient.ndim > 1 else 1)).abs().max()) for gradient in gradients) < 1e-3
    least = float(loss(weight, bias))
    for _ in range(20):
        assert float(loss(weight + 0.05 * torch.randn(2, 5, generator=draw), bias)) > least


def test_unknown_tags_do_not_count() -> None:
    features = torch.randn(40, 3, generator=torch.Generator().manual_seed(2))
    tags = (features[:, :1] > 0).to(torch.int8)
    some = tags.clone()
    some[30:] = -1
    flipped = 1 - tags
    flipped[:30] = tags[:30]
    flipped[30:] = -1
    for one, other in zip(fit_classifier(features, some), fit_classifier(features, flipped), strict=True):
        torch.testing.assert_close(one, other)


def test_it_knows_the_tags_at_once(dataset: Dataset, weights: Path) -> None:
    settings = config(weights)
    network = build_network(settings, len(dataset.classes))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    start_classifier(TorchBackend(network, dataset.classes, settings, device="cpu"), dataset, read_image)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"recognition.classifier.weight", "recognition.classifier.bias"}
    assert network.training
    network.eval()
    images = [torch.from_numpy(read_image(record.path)).permute(2, 0, 1) for record in dataset.records]
    with torch.no_grad():
        logits = network.recognise(normalise(torch.stack(images), network.backbone.preprocessing)).tag_logits
    tags = torch.from_numpy(dataset.tags())
    prior = tags.float().mean(dim=0)
    assert float(tag_loss(logits, tags)) < 0.8 * float(tag_loss(torch.logit(prior).expand_as(logits), tags))


def test_where_there_is_nothing_to_probe(weights: Path) -> None:
    assert is_probed(config(weights))
    assert not is_probed(config("none"))
    assert not is_probed(config(weights, **{"paper.cam_channels": 8}))
    assert not is_probed(config(weights, **{"training.probe": False}))


def test_a_resumed_run_is_not_probed_again(
    dataset: Dataset, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_file(fit(dataset, config(weights), tmp_path / "run").weights)
    monkeypatch.setattr("tag2mask.training.prepare.start_classifier", None)
    again = load_file(fit(dataset, config(weights), tmp_path / "run", resume=True).weights)
    assert all(torch.equal(first[name], again[name]) for name in first)
