"""One module for each protocol; each runs one service test."""
