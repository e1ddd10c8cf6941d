"""What goes on inside a network: gates, gradients, and cells beside each other."""
