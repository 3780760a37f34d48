"""The peer of relay_modbus: a Modbus RTU board with coils and inputs on a pty."""

from __future__ import annotations

from gated_simulators.rigs._modbus_board import ModbusBoardRig, open_rig

__all__ = ["ModbusBoardRig", "open_rig"]
