"""One exchange with a plugin in C; `kubeshark.hosts._exchange` calls it, or does without where it is not built."""
