"""The operator: PriceNetwork resources in, Kubernetes objects out, and a status that tells the truth."""
