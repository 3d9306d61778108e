"""Generate shards in several processes."""

import multiprocessing
import signal
from contextlib import suppress
from multiprocessing.connection import wait

from hf_icrl.dataset_builders.one_thread import one_thread_in_new_processes
from hf_icrl.dataset_builders.shards import write_shard


def write_shards(plan, folder, shards, num_proc):
    """Write `shards` with `num_proc` processes; yields each shard's number when it is on disk.

    The processes are spawned: forking a process that has used torch or BLAS threads can hang. Each has its list of
    shards from the beginning, and ends when the process that spawned it does.

    Raises:
        whatever a process raised, or `RuntimeError` if one died. The others are stopped; finished shards stay.
    """
    num_proc = min(num_proc, len(shards))
    if num_proc <= 1:
        for shard in shards:
            write_shard(plan, folder, shard)
            yield shard
        return
    context = multiprocessing.get_context("spawn")
    workers = {}
    try:
        for rank in range(num_proc):
            receiver, sender = context.Pipe(duplex=False)
            mine = shards[rank::num_proc]
            process = context.Process(target=_work, args=(plan, folder, mine, sender), daemon=True)
            with one_thread_in_new_processes():
                process.start()
            sender.close()
            workers[receiver] = (process, len(mine))
        while workers:
            for receiver in wait(list(workers)):
                process, left = workers[receiver]
                try:
                    message = receiver.recv()
                except EOFError:
                    process.join()
                    raise RuntimeError(_death(process.exitcode)) from None
                if isinstance(message, BaseException):
                    raise message
                yield message
                workers[receiver] = (process, left - 1)
                if left == 1:
                    del workers[receiver]
                    process.join()
    finally:
        for process, _ in workers.values():
            process.terminate()
        for process, _ in workers.values():
            process.join()


def _work(plan, folder, shards, sender):
    # Ctrl-C goes to the whole process group; the parent says what happened, once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A broken pipe: the parent is gone, and a later run goes on from the shards that are there.
    with suppress(BrokenPipeError):
        try:
            for shard in shards:
                write_shard(plan, folder, shard)
                sender.send(shard)
        except BrokenPipeError:
            raise
        except Exception as error:
            sender.send(error)


def _death(exitcode):
    if exitcode is not None and exitcode < 0:
        how = f"was killed by signal {-exitcode} (9 is often the system running out of memory: use a smaller num_proc)"
    else:
        how = (
            f"ended with exit code {exitcode}; what it printed stands above. A script that calls collect with "
            'num_proc > 1 must do so under `if __name__ == "__main__":`'
        )
    return f"a collecting process {how}. Finished shards are kept: run the same again to go on from there"
