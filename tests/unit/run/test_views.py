"""Reading a line's ledgers from several threads, also while the line ends."""

from pathlib import Path
from threading import Event, Thread

from streamline.ledger import Ledger
from streamline.run.runtime import Runtime
from streamline.run.views import Views


def test_closing_waits_for_a_thread_that_reads_and_leaves_it_nothing_more(tmp_path: Path) -> None:
    ledger = Ledger()
    for number in range(200):
        ledger.counter(f"counted{number}_total", camera="left").add(number)
    ledger.open(tmp_path / "infer.ledger")
    for _ in range(20):
        views = Views(Runtime(tmp_path))
        has_read, nothing_more = Event(), Event()

        def read(views: Views = views, read: Event = has_read, over: Event = nothing_more) -> None:
            while views.samples():
                read.set()
            over.set()

        reader = Thread(target=read, daemon=True)
        reader.start()
        assert has_read.wait(30)
        views.close()
        assert nothing_more.wait(30)
        assert not views.by_worker()
        reader.join()
    ledger.close()
