"""The reference page's tables, typed from it, and tests that exercise each of their rows."""
