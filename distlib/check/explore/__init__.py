"""The model checker: search every state that a model can reach, or as many as the bounds allow."""
