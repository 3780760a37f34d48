"""Sans-IO codecs: bytes to frames and back."""
