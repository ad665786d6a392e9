"""The course as a whole: its chapters and their map."""
