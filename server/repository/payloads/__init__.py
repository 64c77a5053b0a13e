"""Payload logging: requests and answers, sampled, to the operator's collector, file or object store."""
