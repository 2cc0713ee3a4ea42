"""Panels about the processes themselves, for every dashboard that has some."""

from board import Row
from panels import above, below, time_panel
from queries import Query, per_second, quantile, series


def processes(role: str | None = None) -> Row:
    """What each process uses; of the processes that hold `role`, or of all."""
    roles = f'role=~"all|{role}"'
    chosen = f" and on (job, instance) {series('linkup_build_info', roles)}" if role else ""

    def each(expr: str) -> Query:
        return Query(f"{expr}{chosen}", "{{instance}}")

    share_of_workers = (
        f"{per_second('linkup_runtime_busy_seconds_total')} / clamp_min({series('linkup_runtime_workers')}, 1)"
    )
    panels = [
        time_panel(
            "Processor time",
            "Cores in use by each process. Near the number of cores of its host, everything in it waits: compare with "
            "Runtime busy and Timer drift, then add instances.",
            each(per_second("process_cpu_seconds_total")),
            unit="none",
        ),
        time_panel(
            "Resident memory",
            "Memory of each process. A line that only climbs ends with the process killed and its people cut off: "
            "look at connections, backlog and the streamer's log of events.",
            each(series("process_resident_memory_bytes")),
            unit="bytes",
        ),
        time_panel(
            "Open files, share of the limit",
            "At 1 no further connection is accepted, and people cannot come in. Raise the limit (ulimit -n) or add "
            "gateways.",
            each(f"{series('process_open_fds')} / clamp_min({series('process_max_fds')}, 1)"),
            unit="percentunit",
            limits=above(yellow=0.7, red=0.9),
        ),
        time_panel(
            "Runtime busy",
            "Share of their time in which the runtime's threads work. Near 1 everything that people do here waits.",
            each(share_of_workers),
            unit="percentunit",
            limits=above(yellow=0.8, red=0.95),
        ),
        time_panel(
            "Timer drift",
            "How late a timer of 100 ms fires, at the chosen quantile: the delay that whatever happens in this process "
            "suffers. High on one instance only: its host is overloaded. High on all: too few cores.",
            each(f"({quantile('linkup_runtime_timer_drift_seconds', by='job, instance')})"),
            unit="s",
            limits=above(yellow=0.01, red=0.1),
        ),
        time_panel(
            "Running for",
            "Time since each process started. A saw tooth is a process that dies again and again: read its log.",
            each(f"time() - {series('process_start_time_seconds')}"),
            unit="s",
        ),
    ]
    if not role:
        panels += everything_else()
    return Row("Processes", panels)


def everything_else() -> list:
    def each(name: str, legend: str = "{{instance}}") -> Query:
        return Query(series(name), legend)

    return [
        time_panel(
            "Health by instance and check",
            "1 while a check holds. The process whose line is at 0 cannot do its job: the check's name says what it "
            "misses.",
            each("linkup_health", "{{instance}} {{check}}"),
            unit="none",
            high=1,
        ),
        time_panel(
            "Ready",
            "1 while a process answers /readyz with 200; a balancer sends it nobody while it is at 0. Look at its "
            "checks.",
            each("linkup_ready"),
            unit="none",
            high=1,
        ),
        time_panel(
            "Alive",
            "1 while a process answers /livez with 200. At 0 it hangs and does not recover by itself: read its log, "
            "and restart it.",
            each("linkup_alive"),
            unit="none",
            limits=below(red=1),
            high=1,
        ),
        time_panel(
            "Tasks alive",
            "Tasks of the runtime: a few for each connection and request. A climb without more people is a leak.",
            each("linkup_runtime_tasks"),
            unit="short",
        ),
        time_panel(
            "Tasks that wait for a thread",
            "Work that is ready and not done. Above zero for long, the process has too few threads or cores: see "
            "Runtime busy.",
            each("linkup_runtime_queue_tasks"),
            unit="short",
            limits=above(yellow=100, red=1000),
        ),
        time_panel(
            "Threads",
            "Threads of each process, and of them the runtime's workers. A climb means that blocking work piles up.",
            each("process_threads", "{{instance}}"),
            each("linkup_runtime_workers", "{{instance}} workers"),
            unit="short",
        ),
        time_panel(
            "Open files",
            "Open files and sockets of each process, beside how many there may be in the panel of shares above.",
            each("process_open_fds"),
            unit="short",
        ),
        time_panel(
            "Address space",
            "Virtual memory of each process. It costs nothing by itself; a climb without resident memory is a leak of "
            "maps.",
            each("process_virtual_memory_bytes"),
            unit="bytes",
        ),
        time_panel(
            "Time to write the metrics",
            "How long the answer to the last scrape took. Near the scrape's timeout these dashboards go blind.",
            each("linkup_scrape_seconds"),
            unit="s",
            limits=above(yellow=0.5, red=2),
        ),
        time_panel(
            "Size of the metrics",
            "Size of the answer to a scrape. It does not depend on how many people are here: growth is a fault of "
            "ours.",
            each("linkup_scrape_bytes"),
            unit="bytes",
        ),
    ]
