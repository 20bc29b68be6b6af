"""What the demo and ``postbeat up`` bring with them: a private Redis, a mail server, child processes."""
