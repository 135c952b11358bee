"""Lists of entries and single ones: for programs, for the page, live."""
