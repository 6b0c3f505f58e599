"""What no single key can tell: values that must fit together."""
