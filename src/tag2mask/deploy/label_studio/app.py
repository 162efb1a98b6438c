"""The HTTP interface that Label Studio calls.

| request | from Label Studio | answer |
|---|---|---|
| GET /, /health | while it is connected; waits 1 s | `{"status": "UP"}` |
| POST /setup | `project`, `schema` (the labelling interface), `hostname`, `access_token` | `{"model_version"}` |
| POST /predict | `tasks`, `project`, `label_config`, `params: {login, password, context}` | `{"results": [...]}` |
| POST /webhook | `action`, `project`, `annotation`, `task`; waits 1 s | 201 |
| POST /train | older: `annotations` (tasks with annotations), `label_config` | 201 `{"job"}` |
| GET or POST /versions | `project` | `{"versions"}` |

and, of older versions, /validate, /job_status, /is_training, /delete, /duplicate_model, /metrics. Bodies are those of
`label_studio/ml/api_connector.py` and `label_studio/webhooks/` in https://github.com/HumanSignal/label-studio.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from tag2mask import __version__
from tag2mask.core.errors import Tag2MaskError
from tag2mask.core.hosts import Application, HostGuard, Receive, Scope, Send, refuse
from tag2mask.deploy.label_studio.backend import Predictor, events_of_training
from tag2mask.deploy.label_studio.inbox import Inbox
from tag2mask.deploy.label_studio.training import Trainer
from tag2mask.deploy.serving.pool import BoundedPool, OverloadedError

USER = "tag2mask"
"""User name that goes with the password."""

CREATED = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED")
"""Events that change what is trained on."""

_log = logging.getLogger(__name__)


class BadRequestError(Exception):
    """A request that is none of Label Studio's."""

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Services:
    """What answers requests.

    Attributes:
        predictor: of tasks.
        inbox: of annotations; None: they are not taken over.
        trainer: that trains from them; None as well.
        pool: in which predictions run.
        max_bytes: of a request.
    """

    predictor: Predictor
    inbox: Inbox | None
    trainer: Trainer | None
    pool: BoundedPool
    max_bytes: int = 64_000_000


def create_app(services: Services, *, hosts: frozenset[str] | None = None, password: str | None = None) -> FastAPI:
    """Build the application.

    Args:
        services: what answers.
        hosts: names that are answered, as `known_hosts` gives them; None: every name.
        password: that Label Studio has to send with HTTP Basic, of the user `USER`; None: none is asked for.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        """Take over annotations while the server runs."""
        if services.inbox is not None:
            services.inbox.start()
        yield
        if services.inbox is not None:
            await asyncio.to_thread(services.inbox.stop)
        services.pool.close()

    app = FastAPI(title="tag2mask for Label Studio", version=__version__, lifespan=lifespan)
    app.add_exception_handler(BadRequestError, _refusal)
    app.add_exception_handler(Tag2MaskError, _refusal)
    _add_status(app, services)
    _add_predictions(app, services)
    _add_training(app, services)
    if password is not None:
        app.add_middleware(PasswordGuard, password=password)
    app.add_middleware(HostGuard, hosts=hosts)
    return app


def _refusal(_: Request, error: Exception) -> JSONResponse:
    status = error.status if isinstance(error, BadRequestError) else 422
    return JSONResponse({"error": str(error)}, status)


def _add_status(app: FastAPI, services: Services) -> None:
    @app.get("/")
    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Tell that the server works, and how training stands."""
        found: dict[str, Any] = {"status": "UP", "model_class": "tag2mask", "model_version": _version(services)}
        if services.trainer is not None:
            found["training"] = {"state": services.trainer.state, "run": services.trainer.run}
        if services.inbox is not None:
            found["annotations"] = {"waiting": services.inbox.waiting(), "failed": services.inbox.failed()}
        return found

    @app.get("/versions")
    @app.post("/versions")
    async def versions() -> dict[str, Any]:
        """Tell the versions of the model: there is one."""
        return {"versions": [_version(services)]}

    @app.get("/metrics")
    async def metrics() -> dict[str, Any]:
        """Answer as Label Studio's own backends do."""
        return {}

    @app.get("/is_training")
    async def is_training() -> dict[str, bool]:
        """Tell whether a training runs."""
        return {"is_training": services.trainer is not None and services.trainer.state == "training"}

    @app.post("/job_status")
    async def job_status(request: Request) -> dict[str, Any]:
        """Tell how a training stands."""
        job = (await _body(request, services)).get("job")
        trainer = services.trainer
        if trainer is None or job != trainer.run:
            raise BadRequestError(f"no training {job!r} here", 410)
        return {"job_status": {"training": "started", "failed": "failed"}.get(trainer.state, "finished")}

    @app.post("/delete")
    @app.post("/duplicate_model")
    async def nothing() -> dict[str, Any]:
        """Nothing is kept a project, so that there is nothing to delete or copy."""
        return {}


def _add_predictions(app: FastAPI, services: Services) -> None:
    @app.post("/setup")
    async def setup(request: Request) -> dict[str, Any]:
        """Check the labelling interface."""
        schema = (await _body(request, services)).get("schema")
        if not schema:  # a project without an interface yet
            return {"model_version": _version(services)}
        return {"model_version": await asyncio.to_thread(services.predictor.setup, str(schema))}

    @app.post("/validate")
    async def validate(request: Request) -> dict[str, Any]:
        """Check the labelling interface."""
        config = str((await _body(request, services)).get("config"))
        return {"model_version": await asyncio.to_thread(services.predictor.setup, config)}

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        """Predict tasks."""
        body = await _body(request, services)
        tasks, config, params = body.get("tasks"), body.get("label_config"), body.get("params")
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise BadRequestError("`tasks` is not a list of tasks")
        if not isinstance(config, str):
            raise BadRequestError("`label_config` is not the XML of a labelling interface")
        context = params.get("context") if isinstance(params, dict) else None
        version, results = await _run(services, lambda: services.predictor.predict(tasks, config, context))
        return {"results": results, "model_version": version}


def _add_training(app: FastAPI, services: Services) -> None:
    @app.post("/webhook", status_code=201)
    async def webhook(request: Request) -> dict[str, Any]:
        """Write down what happened; it is taken over after the answer."""
        body = await _body(request, services)
        action = body.get("action")
        if services.inbox is None or services.trainer is None:
            return {"status": "ok", "result": "ignored: this server was started without a project"}
        if action in CREATED:
            await asyncio.to_thread(services.inbox.put, body)
            return {"status": "ok", "result": "kept"}
        if action == "START_TRAINING":
            return {"status": "ok", "result": {"job": await asyncio.to_thread(services.trainer.start)}}
        return {"status": "ok", "result": f"ignored: {str(action)[:40]}"}

    @app.post("/train", status_code=201)
    async def train(request: Request) -> dict[str, Any]:
        """Take all annotations over and train."""
        body = await _body(request, services)
        inbox, trainer = services.inbox, services.trainer
        if inbox is None or trainer is None:
            raise BadRequestError("this server was started without a project: it takes no annotations", 422)
        for event in events_of_training(body):
            await asyncio.to_thread(inbox.put, event)
        await asyncio.to_thread(inbox.wait, _SECONDS_OF_TRAIN)
        job = await asyncio.to_thread(trainer.start)
        return {"job": job} if job else {}


_SECONDS_OF_TRAIN = 60.0


def _version(services: Services) -> str:
    return services.predictor.model.current()[0]


async def _run(services: Services, function: Callable[[], tuple[str, list[dict[str, Any]]]]) -> Any:
    try:
        return await asyncio.wrap_future(services.pool.submit(function))
    except OverloadedError:
        raise BadRequestError("too many predictions are waiting; try again", 503) from None


async def _body(request: Request, services: Services) -> dict[str, Any]:
    """The JSON object in the body of a request, which Label Studio always sends."""
    pieces, count = [], 0
    async for piece in request.stream():
        count += len(piece)
        if count > services.max_bytes:
            raise BadRequestError(f"a request of more than {services.max_bytes:,} bytes", 413)
        pieces.append(piece)
    try:
        found = await asyncio.to_thread(json.loads, b"".join(pieces))
    except (ValueError, RecursionError):
        raise BadRequestError("the body is not JSON") from None
    if not isinstance(found, dict):
        raise BadRequestError("the body is not a JSON object")
    return found


class PasswordGuard:
    """ASGI middleware that asks for a password by HTTP Basic."""

    def __init__(self, app: Application, password: str):
        self.app = app
        self._expected = f"{USER}:{password}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or self._is_known(scope):
            await self.app(scope, receive, send)
            return
        challenge = [(b"www-authenticate", b'Basic realm="tag2mask"')]
        await refuse(send, 401, f"this server has a password; the user is {USER}", challenge)

    def _is_known(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name.lower() == b"authorization"), b"")
        kind, _, code = given.partition(b" ")
        if kind.lower() != b"basic":
            return False
        try:
            return secrets.compare_digest(base64.b64decode(code, validate=True), self._expected)
        except (binascii.Error, ValueError):
            return False
