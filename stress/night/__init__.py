"""The night of an operator: failures are found, stopped, repaired and run again from the command line."""
