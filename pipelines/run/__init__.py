"""Runs jobs: toolchains, and a server in each that forks a process a job."""
