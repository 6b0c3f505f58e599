"""What the simulation does not know."""

from __future__ import annotations


class Unknown(Exception):
    """The message is a reason, such as `the operator exLSTM`: only the SDK can run the network."""
