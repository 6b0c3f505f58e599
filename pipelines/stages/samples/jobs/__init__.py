"""Samples made from the recipe's data, inside a toolchain, and read by later jobs of the step."""
