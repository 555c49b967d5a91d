"""The one error that a user of the training core sees: what is wrong, and how to mend it."""


class TrainingError(Exception):
    """The training cannot be carried out (exit status 2); no version has been registered.

    `what` says what was expected and what came; `mend` says what to do next. Both are one line, without a full stop.
    """

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what, mend)
        self.what = what
        self.mend = mend

    def __str__(self) -> str:
        return " ".join(f"error: {self.what} — {self.mend}".split())
