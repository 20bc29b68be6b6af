"""What a message that arrived tells: its path, the verdicts on it, what was changed, what a bounce says.

Pure: bytes in, findings out. Whatever the input, nothing raises, and time and memory follow its size.
"""
