"""Knowledge incorporation: contexts, and questions that are answered without them (SEAL, section 3.1)."""
