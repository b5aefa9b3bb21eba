"""The command line: options in, public functions called, results printed. Open `main.py` first."""
