"""Sound: wav bytes become samples, log-mel bands hear the right pitch, and what comes after a recording's end is not heard."""

from __future__ import annotations

import doctest
import importlib
import io
import math
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.config import load_preset
from models.errors import TrainingError
from models.nets.speech import FLOOR, LogMel, build, hertz_to_mel, mel_edges, mel_filters, mel_to_hertz
from models.networks import Speech as Network
from models.settings import DataSettings
from models.sources.speech import decoded, read

RATE = 8000
NETWORK = Network(bands=20, channels=(4, 6), width=16, heads=2, layers=2)


def front() -> LogMel:
    return LogMel(RATE, NETWORK)


def net(samples: int) -> torch.nn.Module:
    torch.manual_seed(0)
    column = {"name": "sound", "kind": "audio", "shape": [samples], "rate": RATE}
    module = build({"columns": [column], "classes": 3, "network": NETWORK.model_dump(mode="json")})
    module.fit(recordings(8, samples))
    return module.eval()


def recordings(n: int, samples: int, seed: int = 0) -> torch.Tensor:
    """Noise that gets louder, of different lengths from `samples` / 5 on, NaN after the end."""
    stream = np.random.default_rng(seed)
    x = (stream.normal(size=(n, samples)) * np.linspace(0.01, 0.3, samples)).astype(np.float32)
    x[np.arange(samples) >= (samples * (1 + np.arange(n)) // (n + 4))[:, None]] = np.nan
    return torch.from_numpy(x)


def tone(hertz: float, amplitude: float = 0.5, samples: int = 4000) -> torch.Tensor:
    return (amplitude * torch.sin(2 * math.pi * hertz * torch.arange(samples) / RATE)).unsqueeze(0)


def test_mel_by_hand() -> None:
    """700 Hz is 2595 log10 2 = 781.17 mel; a scale from 0 to there halved lies at 700 (√2 - 1) Hz."""
    assert hertz_to_mel(700.0) == pytest.approx(2595 * math.log10(2)) == pytest.approx(781.17, abs=0.01)
    assert hertz_to_mel(0.0) == 0
    assert mel_edges(1, 0, 700) == pytest.approx([0, 700 * (math.sqrt(2) - 1), 700])
    assert doctest.testmod(importlib.import_module("models.nets.speech")).failed == 0


@settings(deadline=None)
@given(st.floats(0, 20_000))
def test_mel_goes_both_ways(hertz: float) -> None:
    assert mel_to_hertz(hertz_to_mel(hertz)) == pytest.approx(hertz, rel=1e-9, abs=1e-9)


def test_triangles_by_hand() -> None:
    """One band between 0 and 700 Hz peaks at 289.95 Hz: halfway up at half of it, halfway down midway to 700, nothing outside."""
    peak = 700 * (math.sqrt(2) - 1)
    at = torch.tensor([0, peak / 2, peak, (peak + 700) / 2, 700, 900], dtype=torch.float64)
    assert mel_filters(1, at, 0, 700)[0].tolist() == pytest.approx([0, 0.5, 1, 0.5, 0, 0])


def test_between_the_outer_peaks_the_triangles_sum_to_one() -> None:
    edges = mel_edges(20, 60, 4000)
    at = torch.linspace(edges[1], edges[-2], 500, dtype=torch.float64)
    assert mel_filters(20, at, 60, 4000).sum(dim=0).tolist() == pytest.approx([1.0] * 500)


@pytest.mark.parametrize("band", [2, 7, 13, 18])
def test_a_pure_tone_is_loudest_in_its_band_at_the_height_worked_by_hand(band: int) -> None:
    """A sine of amplitude a has |X|² = (a Σ window / 2)² at its bin, and Hann's window leaves less beside it."""
    layer = front()
    size = 2 * (layer.filters.shape[1] - 1)
    place = round(mel_edges(20, 60, RATE / 2)[band + 1] * size / RATE)  # the bin next to the band's peak
    middle = layer.energies(tone(place * RATE / size))[0][0, :, 5]
    assert int(middle.argmax()) == band
    spectrum = (0.5 * 100 / 2) ** 2  # Σ of a Hann window of 200 is 100
    loudest = float(middle[band].exp())
    assert loudest >= float(layer.filters[band, place]) * spectrum * 0.99
    # Over all bins the squares sum to size / 2 · a² / 2 · Σ window² (Parseval; Σ of Hann² is 75): no band of height 1 has more.
    assert loudest <= size / 2 * 0.5**2 / 2 * 75 * 1.01


def test_the_transform_is_the_discrete_fourier_transform() -> None:
    layer, sound = front(), recordings(1, 2000)[:, :400]
    frame = (sound[0, 80:280].double() * torch.hann_window(200, dtype=torch.float64)).numpy()
    expected = layer.filters.double().numpy() @ np.abs(np.fft.rfft(frame, 256)) ** 2
    assert layer.energies(sound)[0][0, :, 1].exp().numpy() == pytest.approx(expected + FLOOR, rel=1e-3)


def test_silence_is_the_floor_and_frames_end_with_the_recording() -> None:
    """4000 samples in a field of 8000: a frame's middle is 100 samples after its start, every 80 samples."""
    x = torch.cat([torch.zeros(1, 4000), torch.full((1, 4000), math.nan)], dim=1)
    energies, inside = front().energies(x)
    assert energies.flatten().tolist() == pytest.approx([math.log(FLOOR)] * energies.numel())
    assert inside[0].tolist() == [80 * t + 100 < 4000 for t in range(inside.shape[1])]
    assert inside.sum() == 49


def test_bands_are_scaled_by_the_training_rows() -> None:
    layer, x = front(), recordings(300, 1600)  # more than one block
    layer.fit(x)
    energies, inside = layer(x)
    kept = energies.transpose(1, 2)[inside]
    assert kept.mean(dim=0).abs().max() < 1e-3
    assert kept.std(dim=0, correction=0).numpy() == pytest.approx(np.ones(20), abs=1e-3)
    assert energies.transpose(1, 2)[~inside].abs().max() == 0


def test_what_comes_after_the_end_is_not_heard() -> None:
    """The same recordings in a longer field, in another batch, and alone, cut to their length."""
    module, x = net(4000), recordings(6, 4000)
    with torch.inference_mode():
        found = module(x)
        longer = torch.cat([x, torch.full((6, 3000), math.nan)], dim=1)
        assert torch.allclose(module(longer), found, atol=1e-5)
        for row, expected in zip(x, found, strict=True):
            assert torch.allclose(module(row[~row.isnan()].unsqueeze(0))[0], expected, atol=1e-5)
        assert found.std(dim=0).min() > 1e-3


def test_a_recording_without_a_sample_gives_an_answer_that_is_a_number() -> None:
    module, nothing = net(2000), torch.full((2, 2000), math.nan)
    with torch.inference_mode():
        found = module(torch.cat([nothing, recordings(2, 2000)]))
    assert torch.isfinite(found).all()
    assert torch.equal(found[0], found[1])
    assert torch.allclose(found[2:], module(recordings(2, 2000)), atol=1e-5)


def test_the_exported_graph_gives_the_same_and_samples_have_gradients() -> None:
    module, x = net(2000), recordings(9, 2000)
    exported = torch.export.export(module, (recordings(4, 2000, seed=1),), dynamic_shapes=[{0: torch.export.Dim.AUTO}]).module()
    found = module(x)
    assert torch.allclose(exported(x), found, atol=1e-5)
    assert torch.allclose(exported(x[:1]), found[:1], atol=1e-5)
    sound = x.clone().requires_grad_()
    module(sound).square().sum().backward()
    assert torch.isfinite(sound.grad).all()
    assert sound.grad[x.isnan()].abs().max() == 0
    assert (sound.grad[~x.isnan()] != 0).float().mean() > 0.9


def test_an_audit_counts_every_operation_of_the_front_end() -> None:
    """1000 samples make 13 frames, every 80 samples as far as 200 zeros after the end; each is 2 × 129 waves of 200, then 20 bands of 129 bins."""
    from audit.subject.flavors.operations import count

    layer, module = front(), net(1000)
    operations, unknown = count(lambda: layer(torch.zeros(2, 1000)))
    assert unknown == []
    assert operations == 2 * 2 * 13 * (258 * 200 + 20 * 129)
    assert count(lambda: module(torch.zeros(2, 1000)))[1] == []


def wav(samples: Any, *, rate: int = RATE, channels: int = 1, width: int = 2) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, dtype={1: "u1", 2: "<i2", 4: "<i4"}[width]).tobytes())
    return out.getvalue()


def test_wav_bytes_by_hand() -> None:
    """Full scale is 1; two channels are averaged; 8 bits have no sign, and their middle is 128."""
    assert decoded(wav([0, 16384, -32768, 32767]), RATE).tolist() == pytest.approx([0, 0.5, -1, 1], abs=1e-4)
    assert decoded(wav([0, 16384, -16384, -16384], channels=2), RATE).tolist() == [0.25, -0.5]
    assert decoded(wav([128, 0, 192], width=1), RATE).tolist() == [0, -1, 0.5]
    assert decoded(wav([2**30], width=4), RATE).tolist() == [0.5]


NO_RATE = wav([1, 2])[:24] + b"\0\0\0\0" + wav([1, 2])[28:]


@pytest.mark.parametrize(
    ("recording", "says"),
    [
        (wav(range(50))[:-20], "row 1: it is cut off: 50 samples are stated, 40 are there"),
        (wav([1, 2])[:30], "row 1: "),
        (b"", "row 1: the file ends in its header"),
        (b"OggS" + bytes(60), "row 1: file does not start with RIFF id"),
        (wav([1, 2], rate=16000), "its sample rate is 16000 Hz, expected 8000 Hz: resample it"),
        (NO_RATE, "it states no sample rate"),
    ],
)
def test_a_broken_recording_is_one_line_that_names_its_row(recording: bytes, says: str, tmp_path: Path) -> None:
    pd.DataFrame({"digit": [1, 2, 3], "wav": [wav([1, 2]), recording, wav([3])]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(TrainingError, match="1 of 3 recordings") as refused:
        read(speech(tmp_path / "a.parquet"))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def speech(file: Path | None) -> DataSettings:
    return load_preset("speech", data={"file": str(file)} if file else None).data


def test_sound_as_lists_needs_its_rate(tmp_path: Path) -> None:
    rows = pd.DataFrame({"digit": [1, 2, 3], "speaker": ["a", "a", "b"], "index": [0, 1, 0], "samples": [[0.5, -0.5], [0.25], None]})
    rows.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(TrainingError, match="samples without their sample rate"):
        read(speech(tmp_path / "a.parquet"))
    rows.assign(rate=RATE).to_parquet(tmp_path / "b.parquet")
    found = read(speech(tmp_path / "b.parquet"))
    assert list(found) == ["digit", "speaker", "index", "take", "sound"]
    assert found["take"].tolist() == ["a-0", "a-1", "b-0"]
    assert [None if one is None else one.tolist() for one in found["sound"]] == [[0.5, -0.5], [0.25], None]


def test_a_file_without_the_columns_of_a_take_is_one_line(tmp_path: Path) -> None:
    pd.DataFrame({"digit": [1], "speaker": ["a"], "wav": [wav([1])]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(TrainingError, match="no columns index"):
        read(speech(tmp_path / "a.parquet"))


def test_a_file_without_sound_and_no_file_are_one_line(tmp_path: Path) -> None:
    pd.DataFrame({"digit": [1]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(TrainingError, match="neither a column wav nor samples"):
        read(speech(tmp_path / "a.parquet"))
    with pytest.raises(TrainingError, match="--data: parquet with columns digit, speaker"):
        read(speech(None))
