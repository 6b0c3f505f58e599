"""What tests/test_contributing.py adds to a copy of the project, each where the page says."""
