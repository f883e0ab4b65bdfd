"""The figures that the runtime promises, each against its target."""
