"""Measures the admin beside a million messages."""
