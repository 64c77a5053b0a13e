"""What is counted, and how Prometheus is told."""
