"""What the author of a plugin tests with: a context, a memory connector, a counting target, the conformance suite, its mutants, a scaffold.

It ships with the engine. `suite` alone needs pytest and hypothesis, the extra `testing`; everything else imports without them.
"""
