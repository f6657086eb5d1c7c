"""The protocol, pure: no clock, no dice, no I/O, no logging. All of it comes in as values."""
