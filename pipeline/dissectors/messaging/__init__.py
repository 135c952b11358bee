"""Message brokers and queues."""
