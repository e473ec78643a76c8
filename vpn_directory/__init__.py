"""The directory: what exists in the cluster, and how it gets from the gateway to each client."""
