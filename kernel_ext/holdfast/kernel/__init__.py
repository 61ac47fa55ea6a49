"""Inside the kernel process: skip what is recorded, record what runs. Importing this package loads nothing."""
