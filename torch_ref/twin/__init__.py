"""The PyTorch side: the same networks, on the same memory."""
