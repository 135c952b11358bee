"""Where a store's files lie, and who may change them there: a folder, object storage, a worker."""
