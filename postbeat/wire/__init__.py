"""Protocol code without I/O: bytes in, replies out, every size bounded."""
