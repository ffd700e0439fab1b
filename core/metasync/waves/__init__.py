"""Waves: people who move together. Who is in one is said by a file; how far each is, by people, who are asked for a reason.

    files       the keys of a wave, read safely
    membership  whom they mean: brought up to date before every synchronisation; whoever is concerned is marked dirty
    people      the people of one wave, and how far each is
    readiness   what speaks against a cut-over of somebody
    moving      move, cut over, back
    report      a rehearsal: found where, joined, what would be done

What expressions see of it is `store.waves.Book`.
"""
