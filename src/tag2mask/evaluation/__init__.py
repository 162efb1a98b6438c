"""Scores of masks against ground truth, and scores of networks without any.

- `metrics`: confusion matrix, IoU and mIoU of arrays;
- `folders`: a folder of masks against a folder of ground truth, with an interval where that is a sample;
- `average_precision`: how well tag probabilities name what is in an image;
- `by_size`: recall and IoU of small and large objects;
- `baselines`: what a trained network must beat;
- `label_free`, `consensus`: signs of quality that need tags alone;
- `correlation`: how two rankings agree.
"""

from tag2mask.evaluation.folders import Estimate, Evaluation, estimate, evaluate, evaluate_dataset, evaluate_pairs

__all__ = ["Estimate", "Evaluation", "estimate", "evaluate", "evaluate_dataset", "evaluate_pairs"]
