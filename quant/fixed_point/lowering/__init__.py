"""From a node of the float graph to integer operations: scales, weights and bounds."""
