"""The one manager of all plugins, built-in ones too, and their life: installed, tried, scheduled, switched."""
