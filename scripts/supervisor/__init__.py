"""The supervisor: reads a pipeline file, decides what has to run, runs it, reports.

    document   YAML with line numbers            content    what a file or folder contains, as a hash
    pipeline   a document as checked stages      state      the run folder: lock, state, leftovers
    programs   the executables and their flags   plan       which stages run, and why
    process    children and how they end         stage      one stage: a consumer and its workers
    crew       the workers of a stage            control    commands for a supervisor at work
    meter      what workers have done            bottleneck who holds up the rest
    metrics    figures for Prometheus            ledger     two ledgers compared
    graph      a pipeline as a picture           layout     where its cards stand
    copies     stages for rows and seeds         table      a row of results for each of them
    live       progress for people               report     report.html
    remote     workers for another machine's run cli        the commands
"""
