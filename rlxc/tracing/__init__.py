"""Python functions become programs: tracers stand for arrays while a function runs once, and what it does to them is written down."""
