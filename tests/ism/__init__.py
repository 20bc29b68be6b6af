"""The ISM's files at real servers: each row of the reference page's tables, the monitors, and a whole day."""
