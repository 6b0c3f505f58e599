"""What the SDK says when it refuses: its log, what it means, what can be done."""
