"""What lets data out: access tokens, the sources of data, and the streaming between a source and a consumer."""
