"""Running Footlights: the local platform, the operators' commands and the checks of the repository."""
