"""What stands in texts and pictures as a few numbers per row, simple enough to be made beside the model; and what is said of a set of them.

Texts are weighed words (TF-IDF, Spärck Jones 1972) brought to a few dimensions (Deerwester et al. 1990); pictures are cut into a few squares of mean
colour and brought to their main components. Nothing that is said of a set shows a row: words that many rows of it have, and mean colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from audit.features import FeatureSpec, batch_rows, expressions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

#: Words that weigh in a text, dimensions kept of texts and of pictures, squares of a picture on a side.
WORDS, TOPICS, COMPONENTS, SQUARES = 4000, 50, 32, 8
#: Words that name a set, and how much more often than elsewhere a word must occur to be one of them.
NAMED, TYPICAL = 5, 1.5


class Kept(NamedTuple):
    """One input of the rows that are looked at: texts, or the mean colours (n, channels, squares, squares) of pictures from 0 to 1."""

    spec: FeatureSpec
    texts: list[str]
    squares: NDArray[np.float32] | None

    def where(self, rows: Bools) -> Kept:
        """Of some rows only."""
        texts = [t for t, own in zip(self.texts, rows, strict=True) if own] if self.squares is None else []
        return self._replace(texts=texts, squares=None if self.squares is None else self.squares[rows])


def perceived(ctx: Context) -> FeatureSpec | None:
    """The first input that is a text or a picture; None where there is none."""
    return next((f for f in ctx.facts.features if f.kind in ("text", "image")), None)


def keep(ctx: Context, spec: FeatureSpec, rows: NDArray[np.int64]) -> Kept:
    """The input in these rows, which rise; one pass over the data in batches."""
    import numpy as np

    from audit.decoding import decode

    sql = {spec.name: expressions(ctx.dataset, [spec])[spec.name]}
    texts: list[str] = []
    parts: list[NDArray[np.float32]] = []
    start = 0
    for batch in ctx.dataset.stream(sql, size=batch_rows([spec])):
        chosen = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(batch))] - start
        start += len(batch)
        if len(chosen):
            column = batch.column(0).take(_indices(chosen))
            if spec.kind == "text":
                texts += ["" if v is None else str(v) for v in column.to_pylist()]
            else:
                parts.append(_squares(decode(column, spec), spec))
    return Kept(spec, texts, np.concatenate(parts) if parts else None)


def _indices(rows: NDArray[np.int64]) -> object:
    import pyarrow as pa

    return pa.array(rows)


def _squares(pixels: NDArray[np.float32], spec: FeatureSpec) -> NDArray[np.float32]:
    """Mean colours of the squares, missing pixels being black; at most `SQUARES` on a side."""
    import numpy as np

    channels, height, width = spec.shape
    whole: NDArray[Any] = np.nan_to_num(pixels.reshape(-1, channels, height, width), nan=0.0, posinf=0.0, neginf=0.0)
    for axis, size in ((2, height), (3, width)):
        edges = np.unique(np.linspace(0, size, min(SQUARES, size) + 1).astype(int))
        whole = np.add.reduceat(whole, edges[:-1], axis=axis) / np.diff(edges).reshape((-1, 1) if axis == 2 else (-1,))
    return np.asarray(whole, np.float32)


class Texts:
    """Words weighed as the rows that were learnt from have them."""

    def __init__(self, kept: Kept, least: int) -> None:
        """`least`: a word that fewer texts hold is not looked at. ValueError where fewer than two words are left: one tells no kinds apart."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = kept.texts
        spaced = sum(t.count(" ") for t in texts) * 15 >= sum(
            map(len, texts)
        )  # a script without spaces has no words for us, but pairs of signs
        given = {"token_pattern": r"(?u)\b[^\W\d_]{2,}\b"} if spaced else {"analyzer": "char", "ngram_range": (2, 2)}
        self._words = TfidfVectorizer(max_features=WORDS, min_df=least, max_df=0.9, sublinear_tf=True, **given)
        self._weights = self._words.fit_transform(texts)
        if self._weights.shape[1] < 2:
            raise ValueError("one word")

    def learn(self, seed: int) -> Floats:
        """The texts that were learnt from in a few dimensions, each of length 1."""
        from sklearn.decomposition import TruncatedSVD

        self._topics = TruncatedSVD(max(1, min(TOPICS, *(size - 1 for size in self._weights.shape))), random_state=seed)
        return self._unit(self._topics.fit_transform(self._weights))

    def of(self, kept: Kept) -> Floats:
        """Other texts in the same dimensions."""
        return self._unit(self._topics.transform(self._words.transform(kept.texts)))

    @staticmethod
    def _unit(x: Floats) -> Floats:
        import numpy as np

        return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))

    def typical(self, kept: Kept, inside: Bools, least: int) -> list[str]:
        """The words that these texts have oftener than the others, each held by at least `least` of them; the most telling first."""
        import numpy as np

        held = self._words.transform(kept.texts) > 0
        own, rest = (np.asarray(held[rows].sum(axis=0)).ravel() for rows in (np.flatnonzero(inside), np.flatnonzero(~inside)))
        share, other = own / max(inside.sum(), 1), rest / max((~inside).sum(), 1)
        # How far the share lies above the others', in standard errors: neither rare words nor those that all have.
        pooled = (own + rest) / len(inside)
        z = (share - other) / np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12) * (1 / max(inside.sum(), 1) + 1 / max((~inside).sum(), 1)))
        names = self._words.get_feature_names_out()
        telling = [i for i in np.argsort(-z, kind="stable") if own[i] >= least and share[i] > TYPICAL * other[i]]
        return [str(names[i]) for i in telling[:NAMED]]


class Pictures:
    """Squares of mean colour in their main components."""

    def __init__(self, kept: Kept) -> None:
        assert kept.squares is not None, "pictures are kept as squares"
        self._flat = kept.squares.reshape(len(kept.squares), -1)

    def learn(self, seed: int) -> Floats:
        """The pictures that were learnt from, as components; all the same where they do not differ."""
        import numpy as np
        from sklearn.decomposition import PCA

        if not (self._flat.max(axis=0) > self._flat.min(axis=0)).any():
            return np.zeros((len(self._flat), 1))
        self._parts = PCA(min(COMPONENTS, *self._flat.shape), svd_solver="full", random_state=seed)
        return np.asarray(self._parts.fit_transform(self._flat), np.float64)

    def of(self, kept: Kept) -> Floats:
        """Other pictures in the same components."""
        import numpy as np

        assert kept.squares is not None, "pictures are kept as squares"
        return np.asarray(self._parts.transform(kept.squares.reshape(len(kept.squares), -1)), np.float64)


class Look(NamedTuple):
    """Means over some pictures, as shares of white: brightness, contrast (the deviation of its squares within a picture), and colours where they have three."""

    brightness: float
    contrast: float
    colours: tuple[float, ...]


def look(squares: NDArray[np.float32]) -> Look:
    """Of these pictures, which are one at least."""
    import numpy as np

    white = 255.0 if squares.max(initial=0.0) > 1.5 else 1.0
    means = squares.mean(axis=(0, 2, 3), dtype=np.float64) / white
    contrast = float(squares.mean(axis=1, dtype=np.float64).std(axis=(1, 2)).mean() / white)
    return Look(float(means.mean()), contrast, tuple(means.tolist()) if len(means) == 3 else ())
