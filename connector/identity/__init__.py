"""Who we are and who the others are: did:web, keys, self-issued tokens (DCP 1.0), and EDC's mock identity."""
