"""The engines: forward passes, embeddings, training and generation, the same code on CPU and GPU."""
