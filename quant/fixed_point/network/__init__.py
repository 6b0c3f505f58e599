"""The integer network: its operations, what they compute, and the limits that keep them exact."""
