"""What every layer of the house may use: errors, parameter rules, environment, files."""
