"""Pure choices, with no time and no I/O of their own: whom to send a request to, when to try again, whom to admit."""
