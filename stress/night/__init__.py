"""The night of an operator: what fails is found, stopped, repaired and run again, from the command line."""
