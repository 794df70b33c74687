"""Digital twins: shell descriptors, who sees what of them, and the calls of a registry. Pure, no input or output."""
