"""For tests of code that uses Holdfast: a clock that nobody waits for, a recorder of events, work without threads."""
