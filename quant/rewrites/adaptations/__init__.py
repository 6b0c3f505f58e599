"""Rules that apply by themselves, before a recipe's: without them the SDK refuses the network."""
