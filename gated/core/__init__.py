"""The pure core: events in, effects out; standard library only, no I/O, no clock."""
