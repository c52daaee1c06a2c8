"""The passport of a data set: what must be known of it before any score is read. numpy only, no torch."""
