"""The vendor's SDK, called, listened to and understood. It is imported in api.py alone."""
