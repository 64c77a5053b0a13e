"""How requests come in: REST, gRPC, and KServe's own routes behind them. Models are known by what they answer."""
