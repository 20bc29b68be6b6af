"""What IBM's Internet Service Monitoring has as files: properties, rules, log, profile and datalog."""
