"""Students: who bought a course and how they reach it."""
