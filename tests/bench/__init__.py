"""Speed as ratios inside one run: each figure beside the raw limit that was measured in the same minute."""
