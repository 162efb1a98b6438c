"""Metrics, scores of folders, scores without ground truth."""
