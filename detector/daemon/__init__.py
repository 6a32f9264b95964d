"""The daemon: the only room with loops that wait. service polls, steps and commits; delivery brings letters out."""
