"""What makes a node act: messages leave when they were committed, timers ring when they are due. Nothing polls."""
