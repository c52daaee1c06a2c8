"""Data sets of the Hugging Face hub: what it is asked, the commit that is kept, and the download."""
