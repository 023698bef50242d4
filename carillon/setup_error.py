"""What stands in the way of a start, said to a person."""


class SetupError(Exception):
    """Something the person at the terminal has to put right. The message is one sentence, without a trace;
    the command line prints it and ends with exit code 2."""
