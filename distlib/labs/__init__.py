"""Labs: a scenario and its figures behind controls. The base that every topic's labs are made from."""
