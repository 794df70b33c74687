"""Battery passports: canonical bytes, signatures beside the payload, and the verdict on what was received."""
