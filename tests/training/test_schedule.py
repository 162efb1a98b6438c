from __future__ import annotations

from torch import nn

from tag2mask.config.schema import Config
from tag2mask.training.schedule import choose_epochs, parameter_groups, warmup_epochs


def test_epochs_follow_the_size_of_the_dataset() -> None:
    assert choose_epochs(Config(), 800) == 15
    assert choose_epochs(Config(), 10) == 100
    assert choose_epochs(Config(), 300_000) == 4
    assert choose_epochs(Config().override({"training.epochs": 7}), 10) == 7


def test_warmup_leaves_room_for_the_rest() -> None:
    fifth = Config().override({"training.warmup": 0.2})
    assert warmup_epochs(fifth, 20) == 4
    assert warmup_epochs(fifth, 2) == 0  # a probed classifier needs none
    assert warmup_epochs(fifth.override({"training.probe": False}), 2) == 1
    assert warmup_epochs(fifth.override({"model.contrast_stages": [0]}), 2) == 1
    assert warmup_epochs(fifth, 1) == 0
    assert warmup_epochs(Config().override({"training.warmup": 1.0}), 8) == 7
    assert warmup_epochs(Config().override({"training.supervision": "masks"}), 20) == 0


def test_heads_learn_faster_than_backbone_and_probed_classifier() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Linear(2, 2)
            self.recognition = nn.ModuleDict({"classifier": nn.Linear(2, 2), "conv": nn.Linear(2, 2)})
            self.segmentation = nn.Linear(2, 2)
            self.segmentation.bias.requires_grad_(False)

    network = Network()
    options = {"training.learning_rate": 0.01, "training.head_factor": 10.0, "training.weight_decay": 0.1}

    def found(config: Config) -> dict[str, tuple[float, float]]:
        names = {id(parameter): name for name, parameter in network.named_parameters()}
        return {
            names[id(parameter)]: (round(group["lr"], 6), group["weight_decay"])
            for group in parameter_groups(network, config)
            for parameter in group["params"]
        }

    probed = found(Config().override(options))
    assert probed == {
        "backbone.weight": (0.01, 0.1),
        "backbone.bias": (0.01, 0.0),
        "recognition.classifier.weight": (0.01, 0.1),
        "recognition.classifier.bias": (0.01, 0.0),
        "recognition.conv.weight": (0.1, 0.1),
        "recognition.conv.bias": (0.1, 0.0),
        "segmentation.weight": (0.1, 0.1),
    }
    from_scratch = found(Config().override({**options, "training.probe": False}))
    assert from_scratch["recognition.classifier.weight"] == (0.1, 0.1)
