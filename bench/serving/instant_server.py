"""A server that gives the same answer to every question: `python -m bench.serving.instant_server SECONDS`.

It answers after half to one and a half times these seconds, and says in the field `model` how long it took.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time

from aiohttp import web

from bench.serving.overhead import answer


async def _serve(delay_s: float) -> None:
    before, after = answer("|").split(b"|")
    chance = random.Random(1)  # noqa: S311

    async def chat(request: web.Request) -> web.Response:
        began = time.perf_counter()
        asked = await request.read()
        if b"faultstream-no-such-adapter" in asked:
            return web.json_response({"error": {"message": "The model does not exist."}}, status=404)
        await asyncio.sleep(delay_s * chance.uniform(0.5, 1.5))
        took = f"{time.perf_counter() - began:.6f}".encode()
        return web.Response(body=before + took + after, content_type="application/json")

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "base", "owned_by": "vllm", "max_model_len": 8192}]})

    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", chat), web.get("/v1/models", models)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
