"""The distribution that `ulzoo plugin new` writes: templates, and how they are filled."""
