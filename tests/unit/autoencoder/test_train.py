"""Training by back-propagation, against the principal directions it must come to."""

import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest

from streamline.fre import (
    Epoch,
    LinearAutoencoder,
    Span,
    Training,
    reconstruction_error,
    span_of,
)

torch = pytest.importorskip("torch")
from streamline.autoencoder import Trained, train_autoencoder  # noqa: E402 - needs torch

Floats = npt.NDArray[np.floating]

RANK = 6


@pytest.fixture(scope="module")
def frames() -> Floats:
    """Frames with six strong directions, the eigenvalues of the first four well apart."""
    generator = np.random.default_rng(1)
    strength = np.array([9.0, 6.0, 4.0, 2.5, 1.6, 1.5, *np.full(24, 0.2)])
    drawn = generator.normal(size=(90, 30)) * strength
    made: Floats = drawn @ np.linalg.qr(generator.normal(size=(200, 30)))[0].T + 12
    made = made.astype(np.float32)
    made.flags.writeable = False
    return made


@pytest.fixture(scope="module")
def span(frames: Floats) -> Span:
    return span_of(frames)


def autoencoder_of(span: Span, trained: Trained) -> LinearAutoencoder:
    encoder = span.lift(trained.weights.encoder)
    tied = trained.weights.decoder is trained.weights.encoder
    return LinearAutoencoder(
        mean=span.mean,
        encoder=encoder,
        decoder=encoder if tied else span.lift(trained.weights.decoder),
        retained=0.9,
    )


@pytest.mark.parametrize("tied", [True, False], ids=["AEt", "AE"])
def test_the_error_comes_to_that_of_principal_directions(
    span: Span, frames: Floats, *, tied: bool
) -> None:
    trained = train_autoencoder(span, Training(), rank=RANK, tied=tied)
    centred = frames.astype(float) - frames.astype(float).mean(axis=0)
    singular = np.linalg.svd(centred, compute_uv=False)
    best = np.square(singular[RANK:]).sum()
    autoencoder = autoencoder_of(span, trained)
    error = np.square(reconstruction_error(frames, autoencoder)).sum()
    assert best * 0.9999 <= error <= best * 1.01 * 1.0001
    # What the training told of itself is what the weights do in feature space.
    assert trained.curve[-1].excess == pytest.approx(error / best - 1, abs=1e-4)
    assert autoencoder.tied is tied


@pytest.mark.parametrize("tied", [True, False], ids=["AEt", "AE"])
def test_directions_that_stand_apart_lie_in_what_is_learnt(span: Span, *, tied: bool) -> None:
    trained = train_autoencoder(span, Training(tolerance=0.001), rank=RANK, tied=tied)
    learnt = np.linalg.qr(trained.weights.decoder.T.astype(float))[0]
    principal = np.eye(4, len(span.variances))
    cosines = np.linalg.svd(principal @ learnt, compute_uv=False)
    assert np.degrees(np.arccos(cosines.min())) < 2


def test_tied_weights_need_fewer_epochs(span: Span) -> None:
    epochs = [
        train_autoencoder(span, Training(), rank=RANK, tied=tied).curve[-1].epoch
        for tied in (True, False)
    ]
    assert epochs[0] < epochs[1]


@pytest.mark.parametrize("tied", [True, False], ids=["AEt", "AE"])
def test_principal_directions_are_a_start_that_has_converged(span: Span, *, tied: bool) -> None:
    trained = train_autoencoder(span, Training(initial="pca"), rank=RANK, tied=tied)
    (only,) = trained.curve
    assert only.epoch == 0
    assert only.excess == pytest.approx(0, abs=1e-5)


def test_the_same_seed_gives_the_same_training(span: Span) -> None:
    runs = [
        train_autoencoder(span, Training(seed=seed), rank=RANK, tied=True).curve
        for seed in (3, 3, 4)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_small_batches_learn_too(span: Span) -> None:
    trained = train_autoencoder(span, Training(batch=16), rank=RANK, tied=True)
    assert trained.curve[-1].excess <= 0.01


def test_products_in_bf16_learn_too(span: Span) -> None:
    training = Training(precision="bf16", tolerance=0.02)
    assert train_autoencoder(span, training, rank=RANK, tied=True).curve[-1].excess <= 0.02


def test_a_regulariser_makes_weights_smaller(span: Span) -> None:
    plain, small = (
        train_autoencoder(
            span,
            Training(initial="pca", regulariser=weight, tolerance=-1, epochs=150),
            rank=RANK,
            tied=True,
        )
        for weight in (0.0, 0.01)
    )
    assert np.linalg.norm(small.weights.encoder) < 0.9 * np.linalg.norm(plain.weights.encoder)


def test_snapshots_are_the_weights_of_a_training_that_ended_there(span: Span) -> None:
    long = train_autoencoder(span, Training(snapshots=(0, 5, 100_000)), rank=RANK, tied=False)
    short = train_autoencoder(span, Training(epochs=5, tolerance=-1), rank=RANK, tied=False)
    np.testing.assert_array_equal(long.snapshots[5].encoder, short.weights.encoder)
    np.testing.assert_array_equal(long.snapshots[100_000].encoder, long.weights.encoder)
    assert set(long.snapshots) == {0, 5, 100_000}


def test_it_computes_in_one_thread_and_leaves_the_others_to_others(span: Span) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        seen = set()
        train_autoencoder(
            span,
            Training(epochs=2, tolerance=-1),
            rank=RANK,
            tied=True,
            on_epoch=lambda _epoch: seen.add(torch.get_num_threads()),
        )
        assert (seen, torch.get_num_threads()) == ({1}, 3)
        with pytest.raises(ValueError, match="nowhere"):
            train_autoencoder(span, Training(device="nowhere"), rank=RANK, tied=True)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_every_epoch_is_told(span: Span) -> None:
    told: list[Epoch] = []
    trained = train_autoencoder(
        span, Training(epochs=3, tolerance=-1), rank=RANK, tied=True, on_epoch=told.append
    )
    assert tuple(told) == trained.curve
    assert [epoch.epoch for epoch in told] == [0, 1, 2, 3]


def test_neither_frames_nor_coordinates_are_written_to(frames: Floats) -> None:
    span = span_of(frames)
    before = span.coordinates.copy()
    train_autoencoder(span, Training(epochs=3), rank=RANK, tied=False)
    np.testing.assert_array_equal(span.coordinates, before)


def test_a_device_that_is_not_there_is_refused(span: Span) -> None:
    with pytest.raises(ValueError, match=r"torch can't train on 'nowhere'"):
        train_autoencoder(span, Training(device="nowhere"), rank=RANK, tied=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_a_gpu_learns_the_same(span: Span, precision: str) -> None:
    training = Training(device="cuda", precision=precision, tolerance=0.02)  # type: ignore[arg-type]
    assert train_autoencoder(span, training, rank=RANK, tied=True).curve[-1].excess <= 0.02


def test_the_rest_of_the_package_does_without_torch() -> None:
    script = (
        "import sys; import streamline.learn, streamline.infer.openvino_backend, streamline.cli; "
        "assert not {'torch', 'streamline.autoencoder'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
