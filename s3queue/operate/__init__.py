"""Operations of people and programs on a running queue: read, steer and repair it."""
