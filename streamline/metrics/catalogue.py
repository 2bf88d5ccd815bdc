"""Every series that a line publishes: its name, what it means, its buckets.

Names and labels are an interface that dashboards and rules depend on.  Label values come from
the pipeline file or from the enumerations here, so their number is bounded by the file; every
label set exists from the start with value 0.
"""

from collections.abc import Mapping
from typing import Final

from streamline.messages import SCENE_FAULTS

__all__ = [
    "BATCH_BUCKETS",
    "CAMERA_REASONS",
    "CAMERA_STATES",
    "DROP_REASONS",
    "HELP",
    "HISTOGRAMS",
    "LABELS",
    "LATENCY_BUCKETS",
    "LATENCY_RING",
    "MAY_BE_NAN",
    "OF_NO_LEDGER",
    "SCENE_CHECKS",
    "SCORE_BUCKETS",
    "SKIP_REASONS",
    "STAGES",
    "WORK_BUCKETS",
]

STAGES: Final = ("source", "preprocess", "infer", "alert")
"""In order of travel."""

DROP_REASONS: Final[Mapping[str, tuple[str, ...]]] = {
    "source": ("overrun", "queue_full", "refused", "shutdown", "crashed"),
    "preprocess": ("queue_full",),
}
"""Why each stage drops frames.

overrun: the frame was due before the source came round to reading it; queue_full: the next
stage was too slow and the queue's policy is `drop_oldest`; refused: a later stage
could not read it or has no such camera in its pipeline file; shutdown: in flight when the time to
drain was over; crashed: lost with a process that died.
"""

CAMERA_STATES: Final = ("starting", "ok", "unusable", "down", "ended")
"""Of a camera: being opened for the first time; delivering; delivering what can't be judged; not
delivering and being retried; at the end of its file."""

SCENE_CHECKS: Final = tuple(fault.value for fault in SCENE_FAULTS)
"""What may be wrong with what a camera sees.

frozen: the very same picture comes again and again; black, white: it is so all over; blur: it is
less sharp than when the model learnt; brightness, contrast: there is more or less of it; moved:
the camera looks elsewhere; drift: scores no longer come as they did when the model was calibrated.
"""

CAMERA_REASONS: Final = (
    "refused", "auth", "dns", "unreachable", "timeout", "stalled", "missing", "format", "shape",
    "ended", "error", *SCENE_CHECKS,
)  # fmt: skip
"""Why a camera is down or unusable, or a file has ended before its end.

refused: nothing listens at its port; auth: wrong user or password; dns: its name is not known;
unreachable: there is no way to its address; timeout: it does not answer; stalled: it is connected
and sends no frame; missing: no such device, file or stream; format: it sends no video that can
be decoded; shape: its pictures have another size than expected; ended: it closed the stream;
error: anything else, which the log tells; a scene's checks: see `SCENE_CHECKS`.
"""

SKIP_REASONS: Final[Mapping[str, tuple[str, ...]]] = {
    "alert": ("rate",),
    "source": ("queue", "name", "quota", "disk", "error", "closed", "crashed"),
}
"""Why each stage skips frames that should have become evidence.

rate: more of this kind than are kept a minute (passes are a sample, so the others of them are
not counted); queue: the disk is too slow; name: its id can't be a folder's name; quota: all that
is stored is worth more; disk: it fails or is full; error: it can't be encoded; closed: the line
has ended; crashed: it died with its source.
"""

LATENCY_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.04, 0.05, 0.075, 0.1,
    0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0,
)  # fmt: skip
"""Seconds; close together around usual deadlines."""

WORK_BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
)  # fmt: skip
"""Seconds spent in or before one stage."""

BATCH_BUCKETS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
"""Frames in one inference request."""

SCORE_BUCKETS: Final = (
    0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.35, 1.5, 2.0, 3.0, 5.0, 10.0,
)  # fmt: skip
"""Anomaly score as a multiple of the camera's threshold: above 1 fails."""

LATENCY_RING: Final = "streamline_latency_ring_seconds"
"""The latest latencies themselves, for exact quantiles in reports; not exported."""

HELP: Final[Mapping[str, str]] = {
    "streamline_frames_captured_total": "Frames that the camera gave, overruns included.",
    "streamline_frames_judged_total": "Frames with a verdict.",
    "streamline_frames_unknown_total": "Frames whose verdict is unknown, by the reason.",
    "streamline_frames_dropped_total": "Frames dropped, by the stage that dropped them and why.",
    "streamline_frames_in_flight": "Frames captured whose outcome the source does not know yet.",
    "streamline_stage_entered_total": "Frames that a stage took.",
    "streamline_stage_left_total": "Frames that a stage handed on or finished.",
    "streamline_fps": "Frames per second that left a stage, over the last 10 s.",
    "streamline_latency_seconds": "Time from capture to verdict.",
    "streamline_deadline_seconds": "How long after capture a verdict is of use, where that is set.",
    "streamline_latency_unclaimed_total": "Verdicts without latency: clocks not known well.",
    "streamline_queue_unclaimed_total": "Messages without queue time: clocks not known well.",
    "streamline_link_refused_total": "Connections and messages that a link refused, by the reason.",
    "streamline_http_refused_total": "Requests without the token that the endpoint refused.",
    "streamline_link_up": "1 while the peer at the other end of a link over tcp talks.",
    "streamline_clock_offset_seconds": "A sender's clock plus this is its receiver's.",
    "streamline_clock_error_seconds": "How far the clock offset may be off; NaN: not known.",
    "streamline_stage_seconds": "Time of work on one message in a stage.",
    "streamline_decode_cpu_seconds_total": "Processor time spent on reading and decoding.",
    "streamline_scale_cpu_seconds_total": "Processor time spent on scaling to the model's input.",
    "streamline_scene_cpu_seconds_total": "Processor time spent on looking at the scene.",
    "streamline_scene_state": "1 while something is wrong with what a camera sees.",
    "streamline_scene_faults_total": "Times that something went wrong with what a camera sees.",
    "streamline_scene_ratio": "A figure of the scene over that of its reference; moved: by what "
    "share of the picture's side; NaN: not known yet.",
    "streamline_queue_seconds": "Time that a message waited in front of a stage.",
    "streamline_queue_depth": "Messages waiting in front of the next stage.",
    "streamline_batch_size": "Frames in one inference request.",
    "streamline_anomaly_score": "Anomaly score divided by the camera's threshold: above 1 fails.",
    "streamline_camera_state": "1 for the state that the camera is in.",
    "streamline_camera_down_reason": "1 for the reason why the camera is down, unusable or ended.",
    "streamline_camera_state_since_timestamp_seconds": "When the camera's state last changed.",
    "streamline_camera_state_seconds_total": "Time spent in each state since the line was ready.",
    "streamline_camera_reconnects_total": "Times that a camera delivered again after it was down.",
    "streamline_camera_time_jumps_total": "Times that a camera's own time stamps jumped.",
    "streamline_last_frame_timestamp_seconds": "When the latest frame was captured.",
    "streamline_last_verdict_timestamp_seconds": "When the latest frame was judged.",
    "streamline_alerts_total": "Alerts that began.",
    "streamline_alerts_suppressed_total": "Failed frames without an alert of their own, by why.",
    "streamline_alert_active": "1 while an alert is on.",
    "streamline_alerts_delivered_total": "Alert events handed to a sink, by outcome.",
    "streamline_outbox_pending": "Alert events that wait for a sink.",
    "streamline_outbox_discarded_total": "Alert events a sink was never told: too many waited.",
    "streamline_plc_up": "1 while the controller answers what is written into it, else 0.",
    "streamline_outbox_durable": "1 while alert events that wait are on disk, 0 while in memory.",
    "streamline_evidence_stored_total": "Frames stored as evidence, by what they show.",
    "streamline_evidence_skipped_total": "Frames that should have been stored and were not.",
    "streamline_maps_skipped_total": "Frames kept without a heat map: too many waited.",
    "streamline_evidence_removed_total": "Stored frames that had to make room for others.",
    "streamline_evidence_bytes": "What a camera's evidence takes on the disk.",
    "streamline_audit_lost_total": "Records of the audit that could not be written.",
    "streamline_log_lines_lost_total": "Lines of the verdict or drop log that no disk took.",
    "streamline_frames_corrupt_total": "Frames that the decoder marked as damaged.",
    "streamline_line_takeovers_total": "Times that the line was killed, and gone on with.",
    "streamline_worker_up": "1 while a worker runs, 0 while it is restarted.",
    "streamline_worker_restarts_total": "Times that a worker died or was stuck and was restarted.",
    "streamline_worker_given_up": "1 once a worker has died too often to be restarted.",
    "streamline_worker_ready": "1 once a worker has everything it needs.",
    "streamline_reload_refused": "1 while the line goes on with another file than it was to read.",
    "streamline_worker_finished": "1 once all cameras of a worker have ended and drained.",
    "streamline_bench_fps": "Frames per second by the published benchmark, here and in the paper.",
    "streamline_bench_fit_seconds": "Time to learn a product, by the published benchmark.",
    "streamline_bench_timestamp_seconds": "When the published benchmark was written.",
    "streamline_model_info": "The models in use; always 1.",
    "streamline_build_info": "The release in use; always 1.",
}
"""Help text by series name."""

LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "streamline_frames_captured_total": ("camera",),
    "streamline_frames_judged_total": ("camera", "verdict"),
    "streamline_frames_unknown_total": ("camera", "reason"),
    "streamline_frames_dropped_total": ("camera", "stage", "reason"),
    "streamline_frames_in_flight": ("camera",),
    "streamline_stage_entered_total": ("camera", "stage"),
    "streamline_stage_left_total": ("camera", "stage"),
    "streamline_fps": ("camera", "stage"),
    "streamline_latency_seconds": ("camera",),
    "streamline_deadline_seconds": ("camera",),
    "streamline_latency_unclaimed_total": ("camera",),
    "streamline_queue_unclaimed_total": ("stage",),
    "streamline_link_refused_total": ("link", "reason"),
    "streamline_http_refused_total": (),
    "streamline_link_up": ("stage", "peer"),
    "streamline_clock_offset_seconds": ("stage", "peer"),
    "streamline_clock_error_seconds": ("stage", "peer"),
    "streamline_stage_seconds": ("stage",),
    "streamline_decode_cpu_seconds_total": ("camera",),
    "streamline_scale_cpu_seconds_total": ("camera",),
    "streamline_scene_cpu_seconds_total": ("camera",),
    "streamline_scene_state": ("camera", "check"),
    "streamline_scene_faults_total": ("camera", "check"),
    "streamline_scene_ratio": ("camera", "check"),
    "streamline_queue_seconds": ("stage",),
    "streamline_queue_depth": ("stage",),
    "streamline_batch_size": (),
    "streamline_anomaly_score": ("camera",),
    "streamline_camera_state": ("camera", "state"),
    "streamline_camera_down_reason": ("camera", "reason"),
    "streamline_camera_state_since_timestamp_seconds": ("camera",),
    "streamline_camera_state_seconds_total": ("camera", "state"),
    "streamline_camera_reconnects_total": ("camera",),
    "streamline_camera_time_jumps_total": ("camera",),
    "streamline_last_frame_timestamp_seconds": ("camera",),
    "streamline_last_verdict_timestamp_seconds": ("camera",),
    "streamline_alerts_total": ("camera",),
    "streamline_alerts_suppressed_total": ("camera", "reason"),
    "streamline_alert_active": ("camera",),
    "streamline_alerts_delivered_total": ("sink", "outcome"),
    "streamline_outbox_pending": ("sink",),
    "streamline_outbox_discarded_total": ("sink",),
    "streamline_plc_up": (),
    "streamline_outbox_durable": (),
    "streamline_evidence_stored_total": ("camera", "kind"),
    "streamline_evidence_skipped_total": ("camera", "reason"),
    "streamline_maps_skipped_total": ("camera",),
    "streamline_evidence_removed_total": ("camera", "kind"),
    "streamline_evidence_bytes": ("camera",),
    "streamline_audit_lost_total": ("stage",),
    "streamline_log_lines_lost_total": ("log",),
    "streamline_frames_corrupt_total": ("camera",),
    "streamline_line_takeovers_total": (),
    "streamline_worker_up": ("worker",),
    "streamline_worker_restarts_total": ("worker",),
    "streamline_worker_given_up": ("worker",),
    "streamline_worker_ready": ("worker",),
    "streamline_reload_refused": (),
    "streamline_worker_finished": ("worker",),
    "streamline_bench_fps": ("row",),
    "streamline_bench_fit_seconds": ("row",),
    "streamline_bench_timestamp_seconds": (),
    "streamline_model_info": ("model", "backbone"),
    "streamline_build_info": ("version",),
}
"""Labels by series name."""

HISTOGRAMS: Final[Mapping[str, tuple[float, ...]]] = {
    "streamline_latency_seconds": LATENCY_BUCKETS,
    "streamline_stage_seconds": WORK_BUCKETS,
    "streamline_queue_seconds": WORK_BUCKETS,
    "streamline_batch_size": BATCH_BUCKETS,
    "streamline_anomaly_score": SCORE_BUCKETS,
}
"""Buckets of the series that are histograms; of the others those called total are counters."""

MAY_BE_NAN: Final = frozenset({"streamline_clock_error_seconds", "streamline_scene_ratio"})
"""Gauges that show NaN until something is known."""

OF_NO_LEDGER: Final = frozenset(
    {
        "streamline_fps",
        "streamline_reload_refused",
        "streamline_bench_fps",
        "streamline_bench_fit_seconds",
        "streamline_bench_timestamp_seconds",
        "streamline_model_info",
        "streamline_build_info",
    }
)
"""What no worker counts: whoever exports a line adds it."""
