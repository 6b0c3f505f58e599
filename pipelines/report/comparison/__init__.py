"""Two builds side by side: what differs, worst first."""
