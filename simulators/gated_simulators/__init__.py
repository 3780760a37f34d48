"""The other ends of the wires, for technicians, demo and tests."""
