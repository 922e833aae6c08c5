"""Parts of generated pages; `docs/generate.py` puts them into their places."""
