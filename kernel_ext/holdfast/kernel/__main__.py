"""``python -m holdfast.kernel -f CONNECTION_FILE``."""

from holdfast.kernel.app import main

if __name__ == "__main__":
    main()
