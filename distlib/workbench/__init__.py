"""Across protocols: the judge, the museum of mutants, the kill matrix and the Step lab, for every subject."""
