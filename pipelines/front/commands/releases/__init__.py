"""Commands that hand models out, and hold what was handed out against its origin."""
