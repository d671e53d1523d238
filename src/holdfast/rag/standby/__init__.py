"""The standby: a copy of the documents on this machine, searched by words while the document store fails."""
