"""Real processes, real faults, and a verdict: what ``python -m stress run`` is made of.

    plan      what is enqueued and when something goes wrong: a function of the seed
    jobs      the tasks, which write down each start and each end
    watch     a store that writes down fences, claims and boards, and counts requests
    host      one supervisor as a host of its own; producer: one producer process
    crew      the parties, as whoever starts, stops and kills them sees them
    faults    what goes wrong, and how it is put right again
    stores    the store behind a proxy for each party
    drive     one run, from empty to empty
    accounts  what everybody wrote down; history: the verdict on it

Every party writes its own account, in one write per line, so that what was written before a SIGKILL is there. Times in
them are seconds of the clock that all processes of a machine share and nobody sets.
"""
