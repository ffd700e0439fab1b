"""The engagement document: `load` checks it, `revision` keeps it, `secrets` resolves what it refers to, `model` is what the engine sees."""
