"""``config.pbtxt``: what the server is told about a model, in words a person can edit."""

from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.preprocess import padded_width
from crnn_serve.triton.options import Placement, Serving

MAX_IMAGE_BYTES = 16_000_000
MAX_PAGE_BYTES = 64_000_000
_LINES = """\
# One of each for every image. "characters" is JSON: char, confidence, and x0 and x1 in pixels
# of the image, once that is turned clockwise by "turned" degrees. "error" is empty, or says why
# this image could not be read; the others were.
output [
  { name: "text" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "confidence" data_type: TYPE_FP32 dims: [ 1 ] },
  { name: "characters" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "turned" data_type: TYPE_INT32 dims: [ 1 ] },
  { name: "error" data_type: TYPE_STRING dims: [ 1 ] }
]
"""
_PAGES = """\
# One of each for every image. "page" is JSON as crnn-infer --page --json prints it, with an
# empty path: width, height, and lines in reading order with text, confidence, polygon and
# characters. "text" is the lines alone, one below the other. "error" is empty, or says why this
# image could not be read; the others were.
output [
  { name: "page" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "text" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "error" data_type: TYPE_STRING dims: [ 1 ] }
]
"""
_CPU_WARMUP = 320
_CPU_BATCH = 4
_FEW = """\
  # On a CPU more at a time are no quicker a line, and leave the other instances without work.
  preferred_batch_size: [ {} ]
"""
_GPU_WARMUP = 1024  # pixels: wider lines are rare, each width costs the start some time


def reader_config(name: str, card: ModelCard, serving: Serving, where: Placement) -> str:
    """The ``config.pbtxt`` of the model that takes pictures, of lines or pages, and gives text."""
    widths = ",".join(map(str, _warmup_widths(card, where)))
    paged = serving.pages is not None
    what = "pages" if paged else "one line of text each"
    most_bytes = MAX_PAGE_BYTES if paged else MAX_IMAGE_BYTES
    return f"""\
# {name}: encoded pictures of {what} -> what they say.
# Written by crnn-export --to triton; edit it freely: a later export adds a version and
# leaves this file alone unless it is told options. All of it is explained in docs/triton.md.
name: "{name}"
backend: "python"

# Images of one request, and of all requests that are read together, at most.
max_batch_size: {serving.max_batch}

# JPEG, PNG, WebP, TIFF, BMP: the bytes of the file, or "data:image/png;base64,..." in JSON.
input [
  {{ name: "image" data_type: TYPE_STRING dims: [ 1 ] }}
]

{_PAGES if paged else _LINES}
{_batching(serving, None if where.gpu is not None else 1 if paged else _CPU_BATCH)}
# Processes that read side by side. On a CPU one for each core, of one thread, is quickest.
instance_group [
  {{
{where.group}
  }}
]

# The newest version is served. "all {{}}" serves every version, "specific" the ones you name.
version_policy {{ latest {{ num_versions: 1 }} }}

parameters {{ key: "threads" value {{ string_value: "{where.threads}" }} }}
# Empty lines of these widths in pixels are read before an instance is ready.
parameters {{ key: "warmup_widths" value {{ string_value: "{widths}" }} }}
# A larger picture is refused, with an "error" of its own.
parameters {{ key: "max_image_bytes" value {{ string_value: "{most_bytes}" }} }}
{_reading(serving)}\
# An environment that holds crnn_runtime, where the server's own Python does not:
# parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "/path/to/env.tar.gz" }} }}
"""


def _warmup_widths(card: ModelCard, where: Placement) -> list[int]:
    """On a CPU one, to touch the memory; on a GPU each width, because each is compiled for."""
    if card.width is not None:
        return [card.width]
    if where.gpu is None:
        return [min(_CPU_WARMUP, card.max_width)]
    widest = min(card.max_width, _GPU_WARMUP)
    return sorted({padded_width(card, width) for width in range(1, widest + 1)})


def _reading(serving: Serving) -> str:
    """Returns the options for reading lines and for finding them."""
    if serving.pages is None:
        return f"""\
# "auto" reads again, turned, what is read without confidence; "none" takes pictures as they are.
{_parameter("turn", serving.turn or "none")}"""
    finding, reading = serving.pages.detection, serving.pages.reading
    return f"""\
# Longer side in pixels that larger pages are looked at with; a detector's engine has its own.
{_parameter("side", finding.side)}\
# Words on one baseline that are at most so many heights apart are one line; 0 leaves them apart.
{_parameter("join", finding.join)}\
# Lines that are read with less confidence are left out; 0 keeps all.
{_parameter("least", reading.least)}\
# "true": no line stands on its head, that is not tried.
{_parameter("upright", str(reading.upright).lower())}"""


def _parameter(key: str, value: object) -> str:
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n'


def _batching(serving: Serving, preferred: int | None = None) -> str:
    delay = f"  max_queue_delay_microseconds: {round(serving.queue_delay * 1000)}"
    few = _FEW.format(min(preferred, serving.max_batch)) if preferred else ""
    return f"""\
# Requests that wait are read together. With a delay of 0 an instance that is idle takes what
# there is, and batches grow only while all are busy; a delay fills them, for a latency that
# is longer by up to that much. More than max_queue_size waiting requests are refused.
dynamic_batching {{
{few}{delay}
  default_queue_policy {{ max_queue_size: {serving.max_queue} }}
}}
"""


def plain_config(
    name: str,
    backend: str,
    file: str,
    tensors: tuple[str, str],
    serving: Serving,
    group: str,
    *,
    threads: int | None,
    notes: str,
) -> str:
    """The ``config.pbtxt`` of a network alone; ``tensors`` describes its inputs and outputs."""
    inputs, outputs = tensors
    # The key is ONNX Runtime's backend's own.
    count = f'"intra_op_thread_count" value {{ string_value: "{threads}" }}'
    parameters = f"parameters {{ key: {count} }}\n" if threads else ""
    return f"""\
# {name}: a network alone. Preparing its input and decoding its outputs is left to you;
# docs/triton.md says how a picture becomes the input and the outputs become text.
{notes}
name: "{name}"
backend: "{backend}"
default_model_filename: "{file}"
max_batch_size: {serving.max_batch}

input [
{inputs}
]
output [
{outputs}
]

{_batching(serving)}
instance_group [
  {{
{group}
  }}
]
version_policy {{ latest {{ num_versions: 1 }} }}
{parameters}"""
