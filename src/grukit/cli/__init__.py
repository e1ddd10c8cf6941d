"""The command line: one command per file, and the manners all of them share."""
