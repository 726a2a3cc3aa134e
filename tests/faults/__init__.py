"""Every part is killed while buyers buy; afterwards every figure must be right."""
