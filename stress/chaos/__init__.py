"""Chaos runs: real processes, real faults, and a verdict. For ``python -m stress run``.

    plan      messages and faults: a function of the seed
    jobs      the tasks, which record each start and each end
    watch     a store that records fences, claims and boards, and counts requests
    host      one supervisor as a host of its own; producer: one producer process
    crew      the parties, and how they are started, stopped and killed
    faults    the faults, and how they are repaired
    stores    the store behind a proxy for each party
    drive     one run, from empty to empty
    accounts  the records of all parties; history: the verdict on them

Every party writes its own records, in one write per line, so that lines from before a SIGKILL are kept. Times in them are
seconds of the monotonic clock that all processes of a machine share.
"""
