"""Events on their way out: each change of level, outcome or verdict, to every sink that wants it. Asyncio.

The parts: ``config`` and ``loading`` (the file of sinks), ``notice`` (what is told), ``rules`` (when it is),
``runner`` (one sink: its place in the stream, its retries), ``service`` (all sinks of a process), and one
module for each type of sink.
"""
