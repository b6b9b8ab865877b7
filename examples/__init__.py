"""An ad server, a creative engine and an adapter that talk to the queue over HTTP. None of it imports the project."""
