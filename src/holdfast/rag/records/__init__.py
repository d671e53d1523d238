"""What must outlive a process and is no document: conversations, API keys and feedback."""
