"""A job's own error: it says what is wrong and what to do, so no traceback is needed."""


class Refusal(Exception):
    """A job can't go on. `what` names the fault, `advice` what to do about it."""

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice
