"""Which files there are and what stands in them: YAML and variables, values with their places."""
