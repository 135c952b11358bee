"""Documents become rules: policies read and checked, selectors resolved by who has which address."""
