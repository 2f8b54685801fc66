"""Graders: what decides whether an answer is right. Small plug-ins behind one interface."""
