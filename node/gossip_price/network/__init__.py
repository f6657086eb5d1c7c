"""What a network is: its document, epochs, spec and keys. Pure; shared with the operator."""
