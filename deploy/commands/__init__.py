"""What the operators' command line does, one module per noun."""
