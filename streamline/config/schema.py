"""The pipeline file as frozen types; every default, bound and unit stands on its field."""

from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import override

from streamline.config.fields import (
    FilePath,
    Milliseconds,
    Name,
    Rate,
    Seconds,
    Section,
    mistake,
)
from streamline.config.links import Links
from streamline.config.metrics import Metrics
from streamline.config.shorthand import SHORTHANDS, SourceEntry
from streamline.config.sinks import REGISTERS, AnySink, LogSink, Modbus, Outbox, ZmqSink
from streamline.config.sources import ImagesSource, RtspSource, UsbSource
from streamline.mask import MOST_CORNERS, Mask, Polygon

__all__ = [
    "Alert",
    "Audit",
    "Batch",
    "Camera",
    "Debounce",
    "Evidence",
    "Infer",
    "KeptPerMinute",
    "Learn",
    "ModelChoice",
    "Pipeline",
    "Queue",
    "QueuePolicy",
    "Record",
    "RecordedPerMinute",
    "Roi",
    "Scene",
    "SceneResponse",
    "Size",
    "SizeChange",
    "json_schema",
]


class QueuePolicy(StrEnum):
    """What a full queue does with the next frame."""

    AUTO = "auto"
    """Block for a source read as fast as possible, drop_oldest for a live one."""

    BLOCK = "block"
    """The source waits: nothing is lost."""

    DROP_OLDEST = "drop_oldest"
    """The oldest waiting frame is dropped, and counted: the newest is judged in time."""


class Queue(Section):
    """The queues in front of a stage; each camera has its own."""

    policy: QueuePolicy = QueuePolicy.AUTO
    """What happens when it is full: auto, block or drop_oldest. Never auto in a `Camera`."""

    depth: int = Field(default=4, ge=1, le=1024, json_schema_extra={"x-unit": "frames"})
    """How many frames may wait."""


class Debounce(Section):
    """When verdicts become an alert."""

    k: int = Field(default=3, ge=1, le=1000)
    """An alert begins when this many of the last `n` verdicts are fail, and ends likewise."""

    n: int = Field(default=5, ge=1, le=1000)
    """How many verdicts are looked at."""

    @model_validator(mode="after")
    def _k_fits_in_n(self) -> Self:
        if self.k > self.n:
            what = f"k is {self.k}, more than n, which is {self.n} (k must be at most n)"
            raise mistake(what)
        return self


class Alert(Debounce):
    """When verdicts become an alert, for cameras that don't say otherwise, and who is told."""

    sinks: tuple[AnySink, ...] = (LogSink(),)
    """Who is told when an alert begins and ends."""

    update_s: Seconds | None = Field(default=None, ge=1, le=86_400)
    """How often they are told how an alert stands that is on, s; null: never."""

    outbox: Outbox = Outbox()
    """Where what they are told waits for them."""

    plc: Modbus | None = None
    """A controller that is shown verdicts and alerts as they stand; null: none."""

    @field_validator("sinks")
    @classmethod
    def _names_differ(cls, sinks: tuple[AnySink, ...]) -> tuple[AnySink, ...]:
        names = [sink.called for sink in sinks]
        for name in names:
            if names.count(name) > 1:
                what = (
                    f"has two sinks that are called {name} (give each a name of its own; one "
                    "without is called by its type)"
                )
                raise mistake(what)
        return sinks

    @property
    def by_name(self) -> dict[str, AnySink]:
        """Sinks by what metrics and the outbox call them, wherever they stand in the file."""
        return {sink.called: sink for sink in self.sinks}


class Learn(Section):
    """How to fit a model that isn't there yet."""

    source: SourceEntry
    """Where normal product, and nothing else, is to be seen."""

    seconds: Seconds = Field(default=20.0, gt=0, le=86_400)
    """How much of the source to use, s of its own time; of a file one pass at most."""

    every: int = Field(default=1, ge=1, le=10_000, json_schema_extra={"x-unit": "frames"})
    """Use one of this many frames."""


class ModelChoice(Section):
    """The fitted model that judges a camera."""

    path: FilePath
    """The model's directory, as ``streamline fit`` writes it."""

    learn: Learn | None = None
    """Fit the model on the first start if its directory is absent; null: it must be there."""


def _model_shorthand(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


ModelEntry = Annotated[
    ModelChoice,
    BeforeValidator(_model_shorthand, json_schema_input_type=str | ModelChoice),
    Field(
        json_schema_extra={"x-allowed": "the folder of a model, here or for all cameras at the top"}
    ),
]
"""A model as the file may write it: its keys, or only its path."""


class Roi(NamedTuple):
    """The part of the picture that is looked at, px of the full picture."""

    x: Annotated[int, Field(ge=0, le=65535)]
    """Columns left of it, px."""

    y: Annotated[int, Field(ge=0, le=65535)]
    """Rows above it, px."""

    width: Annotated[int, Field(ge=16, le=65535)]
    """Its columns, px."""

    height: Annotated[int, Field(ge=16, le=65535)]
    """Its rows, px."""


class Corner(NamedTuple):
    """A corner of a polygon, px of the full picture."""

    x: Annotated[float, Field(ge=-65535, le=65535)]
    """To the right, px."""

    y: Annotated[float, Field(ge=-65535, le=65535)]
    """Downwards, px."""


class Size(NamedTuple):
    """How large a picture is, px."""

    width: Annotated[int, Field(ge=16, le=16384)]
    """Columns, px."""

    height: Annotated[int, Field(ge=16, le=16384)]
    """Rows, px."""


CornerEntry = Annotated[Corner, Field(json_schema_extra={"x-allowed": "[x, y] in px"})]


def _view(roi: Roi | None, size: Size | None) -> tuple[float, float, float, float] | None:
    """Say what is looked at, px of the full picture, as far as the file tells."""
    if roi is not None:
        return roi
    return None if size is None else (0, 0, *size)


class SizeChange(StrEnum):
    """What is made of pictures that have another size than expected."""

    UNKNOWN = "unknown"
    """Their verdict is unknown, with reason shape; the camera's state is unusable."""

    REOPEN = "reopen"
    """The camera is taken for lost and opened again until the size is right."""

    ACCEPT = "accept"
    """They are judged, scaled to the model's input as any other."""


class SceneResponse(StrEnum):
    """What becomes of frames while something is wrong with what a camera sees."""

    AUTO = "auto"
    """Unknown, but off for a folder of images, where one may be shown for long."""

    OFF = "off"
    """They are judged, and nobody looks whether it is wrong."""

    WARN = "warn"
    """They are judged; log and metrics say that it is wrong."""

    UNKNOWN = "unknown"
    """Their verdict is unknown with that reason, which is the camera's state too: no alert."""


_Response = Literal[SceneResponse.OFF, SceneResponse.WARN, SceneResponse.UNKNOWN]


class Scene(Section):
    """Whether a camera still sees its scene: light, lens and view, apart from defects."""

    frozen: SceneResponse = SceneResponse.AUTO
    """The very same picture comes again and again: auto, off, warn or unknown. Never auto in a
    `Camera`."""

    black: _Response = SceneResponse.UNKNOWN
    """The picture is black all over: off, warn or unknown."""

    white: _Response = SceneResponse.UNKNOWN
    """The picture is white all over."""

    blur: _Response = SceneResponse.WARN
    """The scene is less sharp than it was."""

    brightness: _Response = SceneResponse.WARN
    """There is more or less light than there was."""

    contrast: _Response = SceneResponse.WARN
    """Grey levels lie closer together, or further apart."""

    moved: _Response = SceneResponse.WARN
    """The camera looks elsewhere."""

    drift: _Response = SceneResponse.WARN
    """Scores no longer come as they did when the model was calibrated."""

    frozen_s: Seconds = Field(default=5.0, gt=0, le=3600)
    """For how long the same picture must come to be frozen, s."""

    reference: Literal["model", "start"] = "model"
    """What the scene is compared with: what the model learnt from, or the first minute that the
    line sees of it (also where a model does not say what it learnt from)."""


def _camera_shorthand(value: object) -> object:
    return {"source": value} if isinstance(value, str) else value


class Camera(Section):
    """One camera with all that concerns it; the file's defaults are already filled in."""

    name: SkipJsonSchema[Name]
    """Its key in the pipeline file."""

    source: SourceEntry
    """Where its pictures come from."""

    model: ModelEntry
    """The model that judges it."""

    calibration: FilePath | None = None
    """What its scores are held against, as ``streamline model calibrate … --to FILE`` writes it;
    null: what the model came with. For cameras that share a model, and see it otherwise."""

    queue: Queue = Queue()
    """Its queues."""

    size: Size | None = Field(
        default=None, json_schema_extra={"x-allowed": "[width, height] in px, at least 16 by 16"}
    )
    """The size its pictures must have, ``[width, height]`` in px; null: that of its first one."""

    on_size_change: SizeChange = SizeChange.UNKNOWN
    """What is made of pictures of another size: unknown, reopen or accept."""

    roi: Roi | None = Field(
        default=None,
        json_schema_extra={"x-allowed": "[x, y, width, height] in px, at least 16 by 16"},
    )
    """The part of the picture to look at, ``[x, y, width, height]`` in px; null: all of it."""

    mask: tuple[Annotated[tuple[CornerEntry, ...], Field(min_length=3, max_length=256)], ...] = (
        Field(
            default=(),
            max_length=256,
            json_schema_extra={
                "x-allowed": "a list of polygons, each a list of 3 corners [x, y] or more, in px; "
                f"{MOST_CORNERS} corners in all"
            },
        )
    )
    """What is not judged: polygons of corners ``[x, y]`` in px of the full picture, of which
    ``size`` or ``roi`` must say how large it is. The model must have been fitted with this mask,
    or the calibration made with it."""

    alert: Debounce = Debounce()
    """When its verdicts become an alert."""

    deadline_ms: Milliseconds | None = Field(default=None, gt=0, le=60_000)
    """How long after capture a verdict is still of use, ms: a later one is unknown; null: any."""

    scene: Scene = Scene()
    """What becomes of its frames when something is wrong with what it sees."""

    @property
    def view_mask(self) -> Mask | None:
        """The mask as shares of what is looked at; None if there is none."""
        view = _view(self.roi, self.size)
        return Mask.of_pixels(self.mask, view) if self.mask and view is not None else None

    @property
    def live(self) -> bool:
        """Whether frames come on their own clock, wanted or not."""
        return self.source.live

    @field_validator("on_size_change")
    @classmethod
    def _change_can_be_met(cls, change: SizeChange, info: ValidationInfo) -> SizeChange:
        what = ""
        if change is SizeChange.ACCEPT and info.data.get("size") is not None:
            what = "contradicts size, which says what is accepted (keep one of them)"
        is_camera = isinstance(info.data.get("source"), RtspSource | UsbSource | None)
        if change is SizeChange.REOPEN and not is_camera:
            what = "is for cameras: a file stays as it is (use unknown or accept)"
        if what:
            raise mistake(what)
        return change

    @field_validator("roi")
    @classmethod
    def _roi_lies_in_the_picture(cls, roi: Roi | None, info: ValidationInfo) -> Roi | None:
        size = info.data.get("size")
        if roi is None or size is None:
            return roi
        if roi.x + roi.width > size.width or roi.y + roi.height > size.height:
            what = f"does not lie in the picture of {size.width}x{size.height} px"
            raise mistake(what)
        return roi

    @field_validator("mask")
    @classmethod
    def _mask_leaves_something(
        cls, mask: tuple[Polygon, ...], info: ValidationInfo
    ) -> tuple[Polygon, ...]:
        view = _view(info.data.get("roi"), info.data.get("size"))
        if not mask or not {"roi", "size"} <= info.data.keys():
            return mask
        if view is None:
            what = "needs the camera's size or roi, to say what it lies in (give one of them too)"
            raise mistake(what)
        try:
            Mask.of_pixels(mask, view)
        except ValueError as exc:
            raise mistake(str(exc)) from exc
        return mask

    @field_validator("queue")
    @classmethod
    def _decide_policy(cls, queue: Queue, info: ValidationInfo) -> Queue:
        """Replace `auto` by what suits the source."""
        source = info.data.get("source")
        if source is None or queue.policy is not QueuePolicy.AUTO:
            return queue
        policy = QueuePolicy.DROP_OLDEST if source.live else QueuePolicy.BLOCK
        return Queue(policy=policy, depth=queue.depth)

    @field_validator("scene")
    @classmethod
    def _decide_frozen(cls, scene: Scene, info: ValidationInfo) -> Scene:
        """Replace `auto` by what suits the source."""
        source = info.data.get("source")
        if source is None or scene.frozen is not SceneResponse.AUTO:
            return scene
        stills = isinstance(source, ImagesSource)
        frozen = SceneResponse.OFF if stills else SceneResponse.UNKNOWN
        return scene.model_copy(update={"frozen": frozen})


CameraEntry = Annotated[
    Camera,
    BeforeValidator(_camera_shorthand, json_schema_input_type=str | Camera),
    Field(json_schema_extra={"x-allowed": f"{SHORTHANDS}, or a mapping with source and more"}),
]
"""A camera as the file may write it: its keys, or only its source as one string."""


class Batch(Section):
    """How frames of several cameras are judged together."""

    max: int = Field(default=8, ge=1, le=256, json_schema_extra={"x-unit": "frames"})
    """Frames in a batch at most."""

    wait_ms: Literal["auto"] | Annotated[Milliseconds, Field(ge=0, le=1000)] = Field(
        default="auto", json_schema_extra={"x-allowed": "auto or a number from 0 to 1000 ms"}
    )
    """How long an incomplete batch waits for more, ms; auto: not while the device is idle."""


_DEVICE = r"(CPU|(GPU|NPU)(\.[0-9]+)?)"

DeviceName = Annotated[
    str,
    Field(
        pattern=rf"^({_DEVICE}|AUTO(:{_DEVICE}(,{_DEVICE})*)?|cuda(:[0-9]+)?)$",
        max_length=128,
        json_schema_extra={
            "x-allowed": "CPU, GPU, NPU, GPU.1, AUTO, or AUTO:GPU,CPU and the like; "
            "with torch CPU, cuda, cuda:1 or AUTO"
        },
    ),
]
"""A device, as the inference library names it."""


AutoOrCount = Annotated[
    Literal["auto"] | Annotated[int, Field(ge=1, le=1024)],
    Field(json_schema_extra={"x-allowed": "auto or a number from 1 to 1024"}),
]
"""A number that the inference library may choose."""


class Infer(Section):
    """What the models run on."""

    backend: Literal["openvino", "torch"] = "openvino"
    """The library that runs them; torch: for NVIDIA GPUs."""

    device: DeviceName = "CPU"
    """The device, as the library names it; AUTO chooses one, of those listed if any are."""

    devices: Annotated[
        tuple[DeviceName, ...],
        Field(max_length=64, json_schema_extra={"x-allowed": "a list of devices"}),
    ] = ()
    """Several devices in place of one, each with an infer stage of its own. The cameras, sorted by
    model, are shared out among them in equal numbers; none: `device` has all."""

    precision: Literal["auto", "f32", "bf16", "f16"] = "auto"
    """Arithmetic of the device; auto: on a CPU f32, and bf16 for models fitted in it, where it has
    that; elsewhere f16, and f32 for models fitted in it."""

    streams: AutoOrCount = "auto"
    """Batches that the device works on side by side; auto: what gives it the highest rate, for
    a single live camera what judges a frame soonest."""

    threads: AutoOrCount = "auto"
    """Threads of the inference library on a CPU; auto: one a core."""

    batch: Batch = Batch()
    """How frames are judged together."""

    max_fps: Rate | None = Field(default=None, gt=0, le=100_000)
    """Judge no more than this many frames per second, 1/s; null: as many as come."""

    @field_validator("device")
    @classmethod
    def _library_has_such_a_device(cls, device: str, info: ValidationInfo) -> str:
        if wrong := _of_another_library(device, info.data.get("backend")):
            raise mistake(wrong)
        return device

    @field_validator("devices")
    @classmethod
    def _library_has_such_devices(
        cls, devices: tuple[str, ...], info: ValidationInfo
    ) -> tuple[str, ...]:
        for device in devices:
            if wrong := _of_another_library(device, info.data.get("backend")):
                what = f"has {device}, which {wrong}"
                raise mistake(what)
        if devices and info.data.get("device", "CPU") != "CPU":
            what = "stands beside device (write one of them)"
            raise mistake(what)
        return devices

    @property
    def all_devices(self) -> tuple[str, ...]:
        """All that are used, one at least."""
        return self.devices or (self.device,)


def _of_another_library(device: str, backend: str | None) -> str:
    """Say what is wrong with a device of another library; nothing if it is this one's."""
    torch = backend == "torch"
    if torch and device not in {"CPU", "AUTO"} and not device.startswith("cuda"):
        return "is no device of torch (must be CPU, cuda, cuda:1 or AUTO)"
    if not torch and device.startswith("cuda"):
        return "is a device of torch, not of OpenVINO (set infer.backend to torch)"
    return ""


class KeptPerMinute(Section):
    """How many frames of each kind a camera keeps a minute in the long run; 0: none."""

    begins: Annotated[float, Field(ge=0, le=6000)] = 120
    """Frames that begin an alert."""

    fails: Annotated[float, Field(ge=0, le=6000)] = 12
    """Other frames that fail."""

    unknowns: Annotated[float, Field(ge=0, le=6000)] = 6
    """Frames that can't be judged."""

    passes: Annotated[float, Field(ge=0, le=6000)] = 0
    """Frames that pass: a sample of what is normal."""


class Evidence(Section):
    """Full pictures and heat maps of frames, for people to look at."""

    path: FilePath
    """The folder; each camera has one of its own in it."""

    max_gb: float = Field(default=10.0, gt=0, le=1_000_000, json_schema_extra={"x-unit": "GB"})
    """What all cameras may take together, each an equal share, 10⁹ bytes; where a share is used
    up, the oldest goes: first passes, then unknowns, then fails, begins of alerts last."""

    min_free_gb: float = Field(default=1.0, ge=0, le=1_000_000, json_schema_extra={"x-unit": "GB"})
    """What must stay free on the disk, 10⁹ bytes; while it is not, nothing more is taken."""

    max_days: float | None = Field(
        default=None, gt=0, le=36_500, json_schema_extra={"x-unit": "days"}
    )
    """What is older goes, days; null: nothing goes for its age."""

    per_minute: KeptPerMinute = KeptPerMinute()
    """How many frames of each kind are kept."""


def _evidence_shorthand(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


EvidenceEntry = Annotated[
    Evidence,
    BeforeValidator(_evidence_shorthand, json_schema_input_type=str | Evidence),
    Field(json_schema_extra={"x-allowed": "a folder, or a mapping with path and more"}),
]
"""Evidence as the file may write it: its keys, or only its folder."""


class RecordedPerMinute(Section):
    """How many verdicts of each kind a camera has in the audit record a minute, in the long run.

    Begins and ends of alerts, and frames that are kept as evidence, always are.
    """

    fails: Annotated[float, Field(ge=0, le=60_000)] = 600
    """Frames that fail."""

    unknowns: Annotated[float, Field(ge=0, le=60_000)] = 60
    """Frames that can't be judged."""

    passes: Annotated[float, Field(ge=0, le=60_000)] = 6
    """Frames that pass: a sample."""


class Audit(Section):
    """A hash-chained record of each run, for ``streamline verify`` and ``streamline replay``."""

    path: FilePath
    """The folder; each run has one of its own in it."""

    per_minute: RecordedPerMinute = RecordedPerMinute()
    """How many verdicts of each kind are recorded."""

    key_file: FilePath | None = None
    """A file with a key for the hashes, 16 bytes or more; null: none, and then whoever may write
    the record can make it anew from any place on."""

    max_gb: float = Field(default=1.0, gt=0, le=1_000_000, json_schema_extra={"x-unit": "GB"})
    """What the records of earlier runs may take, 10⁹ bytes; the oldest runs' go first, when a run
    begins."""

    max_days: float | None = Field(
        default=None, gt=0, le=36_500, json_schema_extra={"x-unit": "days"}
    )
    """Records of runs that ended longer ago go when a run begins, days; null: none does."""


def _audit_shorthand(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


AuditEntry = Annotated[
    Audit,
    BeforeValidator(_audit_shorthand, json_schema_input_type=str | Audit),
    Field(json_schema_extra={"x-allowed": "a folder, or a mapping with path and more"}),
]
"""The audit record as the file may write it: its keys, or only its folder."""


class Record(Section):
    """What is kept on disk; nothing unless it is named."""

    verdicts: FilePath | None = None
    """File for every verdict, one JSON object a line; null: none."""

    drops: FilePath | None = None
    """File for every dropped frame, one JSON object a line; null: none."""

    evidence: EvidenceEntry | None = None
    """Full pictures and heat maps of alerts and more, or only the folder for them; null: none."""

    audit: AuditEntry | None = None
    """A record of each run that can be verified, or only the folder for it; null: none."""

    @field_validator("audit")
    @classmethod
    def _begins_have_evidence(cls, audit: Audit | None, info: ValidationInfo) -> Audit | None:
        evidence = info.data.get("evidence")
        if audit is not None and (evidence is None or not evidence.per_minute.begins):
            what = "needs evidence that keeps the begins of alerts (name a folder: record.evidence)"
            raise mistake(what)
        return audit


class Pipeline(Section):
    """One pipeline file, complete and checked."""

    version: Literal[1]
    """Version of the file's format."""

    name: Name
    """Name of the line; the file's name unless given."""

    model: ModelEntry | None = None
    """The model of every camera that names none."""

    cameras: dict[Name, CameraEntry] = Field(
        min_length=1,
        json_schema_extra={"x-allowed": "a mapping of names to cameras, with one camera at least"},
    )
    """The cameras by name: their keys, or only their source as one string."""

    cameras_per_process: int = Field(
        default=1, ge=1, le=64, json_schema_extra={"x-unit": "cameras"}
    )
    """How many cameras share a process: more take less memory, and are restarted together."""

    queue: Queue = Queue()
    """Queues of every camera that doesn't say otherwise."""

    infer: Infer = Infer()
    """What the models run on."""

    alert: Alert = Alert()
    """When verdicts become an alert, and who is told."""

    scene: Scene = Scene()
    """What becomes of the frames of every camera that doesn't say otherwise when something is
    wrong with what it sees."""

    record: Record = Record()
    """What is kept on disk."""

    links: Links = Links()
    """Where the stages meet."""

    metrics: Metrics = Metrics()
    """The HTTP endpoint."""

    ready_s: Seconds = Field(default=30.0, ge=0, le=600)
    """How long a service manager waits for the first verdict before it is told that the line is up
    and why nothing is judged yet, s."""

    drain_s: Seconds = Field(default=10.0, ge=0, le=600)
    """How long a stopping line may take to finish the frames in flight, s."""

    @field_validator("links")
    @classmethod
    def _each_device_has_ends_of_its_own(cls, links: Links, info: ValidationInfo) -> Links:
        infer = info.data.get("infer")
        glued = [name for name in ("prepared", "scores") if getattr(links, name) == "inproc"]
        if infer is not None and len(infer.devices) > 1 and glued:
            what = f"has {glued[0]}: inproc, one process, but infer.devices are several (use ipc)"
            raise mistake(what)
        return links

    @field_validator("links")
    @classmethod
    def _subscribers_are_known(cls, links: Links, info: ValidationInfo) -> Links:
        alert = info.data.get("alert")
        sinks = () if alert is None else alert.sinks
        for sink in sinks:
            if isinstance(sink, ZmqSink) and sink.leaves and not sink.plain and links.keys is None:
                what = (
                    "has no keys, and alerts are published beyond this computer, on "
                    f"{sink.address} (give keys, or plain: true beside that address)"
                )
                raise mistake(what)
        return links

    @field_validator("alert")
    @classmethod
    def _registers_are_there(cls, alert: Alert, info: ValidationInfo) -> Alert:
        cameras = info.data.get("cameras", {})
        wanted = Modbus.span(len(cameras))
        if alert.plc is not None and alert.plc.address + wanted > REGISTERS:
            what = (
                f"has plc.address {alert.plc.address}, but this line's cameras need {wanted} "
                f"registers from there on (must be at most {REGISTERS - wanted})"
            )
            raise mistake(what)
        return alert

    _file: str = PrivateAttr("")
    _lines: dict[str, int] = PrivateAttr(default_factory=dict)

    @override
    def model_post_init(self, context: Any, /) -> None:
        """Remember where each key is written."""
        self._file = str((context or {}).get("file", ""))
        self._lines = dict((context or {}).get("lines", {}))

    @property
    def file(self) -> str:
        """The pipeline file's path; empty if it is not from a file."""
        return self._file

    def where(self, key: str) -> str:
        """Return ``FILE:LINE: key``, or the key alone if it is not from a file.

        Parameters
        ----------
        key : str
            Dotted path such as ``cameras.left.source.path``; where only a key above it is
            written, that one's line is told.
        """
        known = key
        while known and known not in self._lines:
            known = known.rpartition(".")[0]
        return f"{self._file}:{self._lines[known]}: {key}" if known else key


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a pipeline file, for editors and checks."""
    schema = Pipeline.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Streamline pipeline"
    # The file's name and the file's default model take their place.
    schema["required"].remove("name")
    schema["$defs"]["Camera"]["required"].remove("model")
    return schema
