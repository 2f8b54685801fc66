"""The operator console, a Textual application. It shows, asks and calls; queries are in `seal_console.queries`."""
