"""An asyncio event loop in a thread of its own, for the peers that are written for one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from peers.conversation import SOON


class EventLoop:
    """Runs coroutines for other threads until it is stopped."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What the coroutine returns or raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(SOON)

    def stop(self) -> None:
        """End the loop and what is still running in it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(SOON)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self._end_tasks())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
