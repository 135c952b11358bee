"""What whoever runs a hub looks at and changes: settings, health, workers, figures."""
