"""One Display per result: computed once, then drawn."""
