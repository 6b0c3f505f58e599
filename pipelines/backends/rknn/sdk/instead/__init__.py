"""What stands in for functions of the SDK, and of what it uses, while one of its calls runs."""
