"""MLP-Mixer network."""
