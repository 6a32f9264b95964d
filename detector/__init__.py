"""foreshock: early warning beside a perpetual-futures exchange."""

__version__ = "0.1.0"
