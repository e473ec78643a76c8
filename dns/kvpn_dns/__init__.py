"""Names to answers: Kubernetes service discovery over DNS from a directory replica, and forwarding of the rest."""
