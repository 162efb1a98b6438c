"""The trained network in forms that travel: an ONNX file, a repository on the Hugging Face Hub."""
