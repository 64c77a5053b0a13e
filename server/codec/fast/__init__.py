"""The same answers as the codec's, sooner, for the requests that are sent most."""
