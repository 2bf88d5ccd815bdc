"""What several test suites share: real servers, rendered files."""
