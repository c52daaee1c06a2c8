"""From a summary to what people look at: the verdict in words, the figures, the web page."""
