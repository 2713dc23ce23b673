"""Options of the test run."""


def pytest_addoption(parser):
    parser.addoption("--bless", action="store_true", help="write expected output anew instead of comparing with it")
