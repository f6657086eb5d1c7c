"""The operator: PriceNetworks in, Kubernetes objects out, and a status that tells the truth."""
