"""`python -m carillon`."""

from carillon.main import app

if __name__ == "__main__":
    app(prog_name="carillon")
