"""An example of a plugin: an encoder, a network and a dataset."""
