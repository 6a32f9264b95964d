"""Replay: the other driver of the engine, and its laboratory."""
