"""Visitor and day passes: issue, encode, verify, redeem."""
