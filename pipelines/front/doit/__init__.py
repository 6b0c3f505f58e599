"""What doit calls: tasks, reporter, dependency backend, and the frame of a command."""
