"""What runs showed, for people and for programs: a page, tables for a terminal, and data."""
