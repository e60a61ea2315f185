"""A server that gives the same answer to every question, after a while: `python -m bench.instant_server SECONDS`."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

from bench.placement import answer


async def _serve(delay_s: float) -> None:
    whole = answer()

    async def chat(request: web.Request) -> web.Response:
        asked = await request.read()
        if b"faultstream-no-such-adapter" in asked:
            return web.json_response({"error": {"message": "The model does not exist."}}, status=404)
        await asyncio.sleep(delay_s)
        return web.Response(body=whole, content_type="application/json")

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
