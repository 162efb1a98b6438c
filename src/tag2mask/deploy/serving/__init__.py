"""Masks over HTTP: a bounded pool of workers behind FastAPI and uvicorn."""

from tag2mask.deploy.serving.limits import Limits

__all__ = ["Limits"]
