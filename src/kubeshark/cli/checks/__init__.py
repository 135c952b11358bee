"""What can be looked at before something is begun: values, this machine, a store."""
