"""The tests that need a kernel's own devices; `.ci/vm` runs them in a virtual machine."""
