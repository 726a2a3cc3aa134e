"""Who is who: one customer per person, found by what is known of them, corrected, merged and split by staff."""
