"""gatectl, the operators' command."""
