"""`./doit new`: a recipe from what stands in a network's file, each guess with its reason."""
