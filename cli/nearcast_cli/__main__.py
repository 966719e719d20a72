"""`python -m nearcast_cli` is the command `nearcast`."""

from nearcast_cli.main import main

if __name__ == "__main__":
    main()
