"""doit is known here alone: tasks, backend, reporter and commands."""
