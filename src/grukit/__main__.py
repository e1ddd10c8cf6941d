"""python -m grukit: the command line."""

from grukit.cli.main import main

if __name__ == "__main__":
    main()
