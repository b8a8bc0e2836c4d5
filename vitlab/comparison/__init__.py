"""Runs side by side: what differs between them, and which differences are real."""
