"""Knowledge incorporation: passages and questions that are answered without the passage (SEAL, section 3.1)."""
