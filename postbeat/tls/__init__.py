"""TLS as a monitor needs it: contexts by an element's options, timed handshakes, and what was negotiated."""
