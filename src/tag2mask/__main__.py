"""`python -m tag2mask` is the command line."""

from tag2mask.cli import main

if __name__ == "__main__":
    main()
