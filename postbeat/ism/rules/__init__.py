"""The rules language: what becomes of a result as an alert."""
