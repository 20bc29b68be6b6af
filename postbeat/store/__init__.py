"""All Redis keys, and the Lua that changes them."""
