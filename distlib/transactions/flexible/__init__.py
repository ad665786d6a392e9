"""Flexible transactions (柔性事务): sagas, TCC, AT mode and messages, which give up isolation for availability."""
