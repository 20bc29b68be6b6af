"""Import and export: the monitors' configuration fields as CSV and XML, and a profile."""
