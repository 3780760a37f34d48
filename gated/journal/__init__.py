"""The durable record of every decision, command, alarm and fault."""
