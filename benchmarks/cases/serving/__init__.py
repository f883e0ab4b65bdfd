"""Servers and bulk reading against the runtime alone."""
