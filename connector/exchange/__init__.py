"""The use cases, one file each: load, pure step, one transaction. `ports` says what they need from outside."""
