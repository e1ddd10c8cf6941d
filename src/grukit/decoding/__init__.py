"""From the chances of the next token to text."""
