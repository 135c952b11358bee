"""The shop: its cluster, its servers, and those who visit it or look after it."""
