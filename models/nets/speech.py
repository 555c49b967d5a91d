"""A net over sound as it is recorded: log-mel energies are its first layers, so attributions speak of samples; then convolutions and attention."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks import Speech as Network
from models.networks import read

#: Added to an energy before its logarithm: 94 dB under a sine of full scale (2500 in a window of 200), above the rounding of 16-bit sound.
FLOOR = 1e-6
FITTED_AT_ONCE = 256


def hertz_to_mel(hertz: float) -> float:
    """2595 log10(1 + f / 700): O'Shaughnessy 1987, as in HTK; 1000 Hz is 1000 mel.

    >>> round(hertz_to_mel(1000.0))
    1000
    """
    return 2595 * math.log10(1 + hertz / 700)


def mel_to_hertz(mel: float) -> float:
    """The inverse of `hertz_to_mel`."""
    return float(700 * (10 ** (mel / 2595) - 1))


def mel_edges(bands: int, low: float, high: float) -> list[float]:
    """bands + 2 frequencies in hertz, evenly spaced in mel: band i rises from edge i to its peak at edge i + 1, and falls to edge i + 2."""
    start, end = hertz_to_mel(low), hertz_to_mel(high)
    return [mel_to_hertz(start + (end - start) * i / (bands + 1)) for i in range(bands + 2)]


def mel_filters(bands: int, frequencies: Tensor, low: float, high: float) -> Tensor:
    """(bands, frequencies): triangles of height 1 over `frequencies` in hertz (Davis & Mermelstein 1980)."""
    edges = torch.tensor(mel_edges(bands, low, high), dtype=torch.float64)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0)


class LogMel(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, samples) of -1 to 1, NaN after the end → (n, bands, frames) log-mel energies, of mean 0 and deviation 1 in each band over the training
    rows, and (n, frames) bool: whether a frame's middle lies in the recording. Frames outside it are 0.

    The Fourier transform is a convolution with windowed cosines and sines (Hann's window), so that it exports, has gradients, and its operations
    are counted. Samples missing inside a recording are silence.
    """

    def __init__(self, rate: int, network: Network) -> None:
        super().__init__()
        self.window, self.hop = round(network.window * rate), round(network.hop * rate)
        size = 1 << (self.window - 1).bit_length()  # padded with zeros to a power of two: bins lie closer than the lowest bands
        bins = torch.arange(size // 2 + 1, dtype=torch.float64)
        angle = 2 * math.pi * bins[:, None] * torch.arange(self.window, dtype=torch.float64) / size
        hann = torch.hann_window(self.window, periodic=True, dtype=torch.float64)
        self.waves: Tensor
        self.filters: Tensor
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("waves", torch.cat([angle.cos() * hann, angle.sin() * hann]).unsqueeze(1).float())
        self.register_buffer("filters", mel_filters(network.bands, bins * rate / size, network.low, network.high or rate / 2).float())
        self.register_buffer("mean", torch.zeros(network.bands, 1))
        self.register_buffer("scale", torch.ones(network.bands, 1))

    def energies(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, bands, frames) natural logarithms, not yet scaled, and (n, frames) bool."""
        known = ~x.isnan()
        sound = functional.pad(torch.where(known, x, torch.zeros_like(x)), (0, self.window))
        cosines, sines = functional.conv1d(sound.unsqueeze(1), self.waves, stride=self.hop).chunk(2, dim=1)
        energies = torch.log(torch.matmul(self.filters, cosines.square() + sines.square()) + FLOOR)
        length = (known * torch.arange(1, x.shape[1] + 1, device=x.device)).amax(dim=1)
        middles = torch.arange(energies.shape[2], device=x.device) * self.hop + self.window // 2
        return energies, middles < length.unsqueeze(1)

    def fit(self, x: Tensor) -> None:
        """Take mean and deviation of each band from the frames of training rows, in blocks."""
        count, total, squares = 0, 0.0, 0.0
        for rows in x.split(FITTED_AT_ONCE):
            energies, inside = self.energies(rows)
            frames = energies.transpose(1, 2)[inside].double()
            count, total, squares = count + len(frames), total + frames.sum(dim=0), squares + frames.square().sum(dim=0)
        if count:
            mean = torch.as_tensor(total) / count
            spread = (torch.as_tensor(squares) / count - mean.square()).clamp(min=1e-6).sqrt()
            self.mean.copy_(mean.unsqueeze(1))
            self.scale.copy_(spread.unsqueeze(1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        energies, inside = self.energies(x)
        return ((energies - self.mean) / self.scale) * inside.unsqueeze(1), inside


class Halved(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """A 3 × 3 convolution with stride 2 over bands and frames, GELU; frames outside the recording stay 0."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, stride=2, padding=1)
        self.activation = nn.GELU()

    def forward(self, x: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        inside = inside[:, ::2]  # a new frame is centred on every second old one
        return self.activation(self.convolution(x)) * inside[:, None, None, :], inside


class Block(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """One layer of a transformer encoder, normalised before each part (Xiong et al. 2020). Frames outside the recording are attended by none."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.softmax = nn.Softmax(dim=-1)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        x = x + self.dropout(self._attention(self.before_attention(x), inside))
        out: Tensor = x + self.dropout(self.dense(self.before_dense(x)))
        return out

    def _attention(self, x: Tensor, inside: Tensor) -> Tensor:
        n, frames, width = x.shape
        query, key, value = (
            layer(x).reshape(n, frames, self.heads, width // self.heads).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        affinity = torch.matmul(query, key.transpose(2, 3)) / math.sqrt(width // self.heads)
        # A number, not -infinity: where a recording has no frame at all the softmax is even, and never NaN.
        weights = self.softmax(affinity.masked_fill(~inside[:, None, None, :], -1e9))
        found: Tensor = self.out(torch.matmul(weights, value).transpose(1, 2).reshape(n, frames, width))
        return found


class Speech(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, samples) float32, NaN after the end → logits (n, classes). The mean over the recording's frames decides; without any it is zero."""

    def __init__(self, column: dict[str, Any], classes: int, network: Network) -> None:
        super().__init__()
        self.front = LogMel(column["rate"], network)
        bands, before, layers = network.bands, 1, []
        for after in network.channels:
            layers.append(Halved(before, after))
            bands, before = -(-bands // 2), after
        self.convolutions = nn.ModuleList(layers)
        self.project = nn.Linear(before * bands, network.width)
        self.dropout = nn.Dropout(network.dropout)
        self.blocks = nn.ModuleList(Block(network.width, network.heads, network.dropout) for _ in range(network.layers))
        self.head = nn.Sequential(nn.LayerNorm(network.width), nn.Linear(network.width, classes or 1))

    def fit(self, x: Tensor) -> None:
        """Set the scaling of the bands from training rows."""
        self.front.fit(x)

    def forward(self, x: Tensor) -> Tensor:
        energies, inside = self.front(x)
        found = energies.unsqueeze(1)
        for layer in self.convolutions:
            found, inside = layer(found, inside)
        found = self.project(found.flatten(1, 2).transpose(1, 2))
        found = self.dropout(found + places(found.shape[1], found.shape[2], found))
        for block in self.blocks:
            found = block(found, inside)
        weight = inside.to(found.dtype).unsqueeze(2)
        logits: Tensor = self.head((found * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1))
        return logits


def places(frames: int, width: int, like: Tensor) -> Tensor:
    """(frames, width) sines and cosines that tell a frame's place (Vaswani et al. 2017, §3.5)."""
    at = torch.arange(frames, device=like.device, dtype=like.dtype).unsqueeze(1)
    rates = torch.exp(torch.arange(0, width, 2, device=like.device, dtype=like.dtype) * (-math.log(10000.0) / width))
    return torch.stack([torch.sin(at * rates), torch.cos(at * rates)], dim=2).flatten(1)[:, :width]


def build(config: dict[str, Any]) -> nn.Module:
    """The net that `config` describes: the one sound column's sample rate and shape, classes, network. Entry point `speech`."""
    return Speech(config["columns"][0], config["classes"], read(Network, config))
