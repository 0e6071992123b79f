"""What a run is told as: text, JSON, JUnit XML, HTML. One module each."""
