"""The local cache of who may pass, under keyed identifiers."""
