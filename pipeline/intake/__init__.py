"""How packets come into a store: live, from files and folders, by way of the plugins that may look at them."""
