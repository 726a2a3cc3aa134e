"""`make demo`: a hall is sold end to end, then every service is asked what it knows and all must agree."""
