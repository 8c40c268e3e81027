"""`python -m streams` is `icn`."""

from streams.cli.main import main

if __name__ == "__main__":
    main()
