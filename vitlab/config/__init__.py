"""How a command line becomes checked settings, and settings become objects. Imports no torch."""
