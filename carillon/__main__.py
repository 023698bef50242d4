"""`python -m carillon`."""

from shared.process.importing import without_collecting

with without_collecting():
    from carillon.main import app

if __name__ == "__main__":
    app(prog_name="carillon")
