"""The page's requests and what they are answered."""

import re
from pathlib import Path
from typing import Annotated, Any, get_args

import cv2
from fastapi import Body, FastAPI, Header
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from crnn_runtime import CrnnError, ImageError
from crnn_runtime.picture.load import load_image
from crnn_serve.guard import Gate
from crnn_serve.label.folder import Entry
from crnn_serve.label.journal import Kind, NotStoredError
from crnn_serve.label.labels import Labels, StaleError

GATE = Gate(
    needed=re.compile(r"/|/label\.(css|js)|/api/(alphabet|next|answer)|/(api/line|picture)/\w+"),
    policy="default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    own_origin=True,
)
_PAGE = Path(__file__).parent / "page"
_SENT = (400, 8_000)  # pixels that a picture has at most when it is sent, height and width
_KINDS = tuple(kind for kind in get_args(Kind) if kind != "trusted")
_FRESH = {"cache-control": "no-store"}


def build(labels: Labels, title: str) -> FastAPI:
    """The application.

    Args:
        labels: to be given out and taken in.
        title: what is labelled and what it was read with.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    def file(name: str) -> FileResponse:
        return FileResponse(_PAGE / name, headers=_FRESH)

    def answer(
        given: Annotated[dict[str, Any], Body()], content_type: Annotated[str, Header()] = ""
    ) -> Response:
        return _answer(labels, given, content_type)

    def line(key: str) -> Response:
        try:
            return _json(_shown(labels.entry(key)))
        except KeyError:
            return _gone()

    app.add_api_route("/", lambda: file("label.html"))
    app.add_api_route("/label.css", lambda: file("label.css"))
    app.add_api_route("/label.js", lambda: file("label.js"))
    app.add_api_route(
        "/api/alphabet", lambda: _json({"entries": labels.alphabet.characters, "title": title})
    )

    def following(window: str = "") -> Response:
        return _json(_next(labels, window[:64]))

    def picture(key: str) -> Response:
        return _picture(labels, key)

    app.add_api_route("/api/next", following, response_model=None)
    app.add_api_route("/api/line/{key}", line, response_model=None)
    app.add_api_route("/api/answer", answer, methods=["POST"], response_model=None)
    app.add_api_route("/picture/{key}", picture, response_model=None)
    return app


def _answer(labels: Labels, given: dict[str, Any], content_type: str) -> Response:
    # A form of another site's page can send text, but not this.
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return PlainTextResponse("an answer is application/json", 415)
    key, version, kind = given.get("key"), given.get("version"), given.get("kind")
    text, window = given.get("text", ""), given.get("window", "")
    is_answer = isinstance(key, str) and isinstance(version, int) and kind in _KINDS
    if not is_answer or not isinstance(text, str) or not isinstance(window, str):
        return PlainTextResponse("this is not what the page sends", 400)
    try:
        labels.answer(str(key), int(str(version)), kind, text)  # type: ignore[arg-type]
    except KeyError:
        return _gone()
    except CrnnError as error:
        return _refused(error)
    return _json(_next(labels, window[:64]))


def _refused(error: CrnnError) -> Response:
    if isinstance(error, StaleError):
        return _json({"reason": str(error), "line": _shown(error.entry)}, 409)
    return _json({"reason": str(error)}, 507 if isinstance(error, NotStoredError) else 422)


def _next(labels: Labels, window: str) -> dict[str, Any]:
    entry, ahead = labels.next_for(window)
    return {
        "line": entry and _shown(entry),
        "ahead": ahead and ahead.key,
        "progress": labels.progress(),
    }


def _shown(entry: Entry) -> dict[str, Any]:
    """A line as the page gets it."""
    reading = entry.reading
    return {
        "key": entry.key,
        "path": entry.path,
        "version": entry.version,
        "kind": entry.kind,
        "text": entry.text if entry.has_text else reading.text if reading else "",
        "confidence": reading.confidence if reading else None,
        "chars": [[char.char, char.confidence, char.x0, char.x1] for char in reading.chars]
        if reading
        else [],
    }


def _picture(labels: Labels, key: str) -> Response:
    """A line's picture as PNG, smaller if it is large; browsers know few of the formats read."""
    try:
        image = load_image(labels.path_of(key), "bgr")
    except KeyError:
        return _gone()
    except ImageError as error:
        return PlainTextResponse(str(error), 422)
    height, width = image.shape[:2]
    scale = min(1.0, _SENT[0] / height, _SENT[1] / width)
    if scale < 1:
        size = (max(1, round(scale * width)), max(1, round(scale * height)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    data = cv2.imencode(".png", image)[1].tobytes()
    # Its true width: the places of characters are in the source's pixels.
    headers = {"cache-control": "private, max-age=3600", "x-source-width": str(width)}
    return Response(data, media_type="image/png", headers=headers)


def _json(content: Any, status: int = 200) -> JSONResponse:  # noqa: ANN401
    return JSONResponse(content, status, headers=_FRESH)


def _gone() -> Response:
    return PlainTextResponse("there is no such line", 404)
