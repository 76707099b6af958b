"""Trained networks for other programs: as ONNX, with all that belongs to them inside."""
