"""A small service that answers the smoke suite as the API does, and `/work`.

FAULT of its image says what is wrong with it, or the variable BEHAVIOUR: exit (never starts), dies (at the second request), open
(administration is not protected); and of `/work`: errors (every fifth), late (the same from the 250th on), slow (600 ms), hang
(never answers), crash (ends at every fifteenth, again and again).
"""

import http.server
import json
import os
import sys
import time

from .fault import FAULT

BEHAVIOUR = FAULT or os.environ.get("BEHAVIOUR", "")
_REFUSALS = {"/api/v1/admin/tenants": 403, "/api/v1/tenants/me": 401}
_FOR_EVER = 3600
_LATE = 250


class Answer(http.server.BaseHTTPRequestHandler):
    asked = worked = 0
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        Answer.asked += 1
        if BEHAVIOUR == "dies" and Answer.asked > 1:
            os._exit(3)
        if self.path == "/work":
            self.work()
        elif self.path.startswith("/health"):
            self.answer(200, {"status": "healthy", "environment": os.environ["ENVIRONMENT"]})
        elif BEHAVIOUR == "open" and self.path in _REFUSALS:
            self.answer(200, {"tenants": []})
        else:
            error = {"code": "x", "message": "y", "request_id": "z"}
            self.answer(_REFUSALS.get(self.path, 404), {"error": error})

    def work(self) -> None:
        Answer.worked += 1
        is_bad = BEHAVIOUR == "errors" or (BEHAVIOUR == "late" and Answer.worked >= _LATE)
        if is_bad and Answer.worked % 5 == 0:
            return self.answer(500, {"error": "every fifth", "revision": os.environ["K_REVISION"]})
        if BEHAVIOUR == "slow":
            time.sleep(0.6)
        elif BEHAVIOUR == "hang":
            time.sleep(_FOR_EVER)
        elif BEHAVIOUR == "crash" and Answer.worked % 15 == 0:
            os._exit(3)
        return self.answer(200, {"revision": os.environ["K_REVISION"]})

    def answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the standard library's name
        pass


if BEHAVIOUR == "exit":
    sys.exit(7)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
