"""What follows from a committed board, and is done beside the cycles."""
