"""Conversations: what was said before, kept through failures, and what a follow-up question means because of it."""
