"""Read a notebook, check it, and compile it to a manifest. Light to import: IPython and papermill are loaded when first needed."""
