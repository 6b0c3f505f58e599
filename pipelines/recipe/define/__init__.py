"""The sections and keys of a recipe, and the dataclasses that they become."""
