"""Services people write in the languages they write them in, built as their authors would."""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

BUILD = Path(__file__).parent.parent.parent / "packaging" / "demo" / "build-image"
CACHE = Path(os.environ.get("PYORCH_DEMO_CACHE", "/var/cache/pyorch-demo"))


def import_base(pyorch, language, name):
    """Have the image of a language that is made of this distribution's packages."""
    subprocess.run([BUILD, CACHE, language], check=True)
    pyorch.run("image", "import", f"{CACHE}/{language}.tar", name, "--cmd", language)


def test_a_python_service_of_several_stages_works_as_its_author_expects(bare):
    import_base(bare, "python", "python:3")
    (bare.work / "src").mkdir()
    (bare.work / "src" / "__main__.py").write_text(
        "import http.server, os, pwd\n"
        "class Page(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers()\n"
        "        self.wfile.write(pwd.getpwuid(os.getuid()).pw_name.encode())\n"
        "http.server.HTTPServer(('', 8000), Page).serve_forever()\n"
    )
    (bare.work / "Dockerfile").write_text(
        """
        FROM python:3 AS build
        WORKDIR /src
        COPY . .
        RUN python3 -m zipapp src -o /app.pyz && python3 -m zipfile -t /app.pyz
        FROM python:3
        RUN echo app:x:900:900::/:/bin/sh >> /etc/passwd && echo app:x:900: >> /etc/group \
            && mkdir /data && chown app:app /data
        COPY --from=build --chown=app:app /app.pyz /app.pyz
        USER app
        VOLUME /data
        EXPOSE 8000
        HEALTHCHECK --interval=1s CMD python3 -c \
            "import urllib.request as r; r.urlopen('http://127.0.0.1:8000')"
        ENTRYPOINT ["python3"]
        CMD ["/app.pyz"]
        """
    )
    bare.write("name: shop\nservices: {web: {build: .}}\n")
    bare.run("up", "-d", "--wait")
    answer = bare.run(
        "exec",
        "web",
        "python3",
        "-c",
        "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000').read().decode())",
    )
    assert answer == "app\n"


def test_a_node_service_of_several_stages_works_as_its_author_expects(bare):
    import_base(bare, "node", "node:18")
    files = {
        ".dockerignore": "node_modules\n*.log\n",
        "package.json": '{"name": "web", "type": "module", "scripts": {"start": "node dist"}}',
        "node_modules/leftpad/index.js": "throw new Error('never sent')",
        "src/greeting.js": "export const greeting = () => `hello from ${process.env.NODE_ENV}`;",
        "test/greeting.test.js": """
            import test from "node:test";
            import assert from "node:assert";
            import { greeting } from "../src/greeting.js";
            test("it greets", () => assert.match(greeting(), /^hello/));
        """,
        "src/index.js": """
            import http from "node:http";
            import os from "node:os";
            import { greeting } from "./greeting.js";
            const answer = `${greeting()} as ${os.userInfo().username}`;
            const server = http.createServer((_, response) => response.end(answer));
            server.listen(3000, () => console.log("listening"));
            process.on("SIGTERM", () => server.close(() => console.log("bye")));
        """,
    }
    for name, text in files.items():
        path = bare.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (bare.work / "Dockerfile").write_text(
        """
        FROM node:18 AS build
        WORKDIR /app
        COPY package.json ./
        COPY . .
        RUN node --test test && cp -r src dist && ! test -e node_modules

        FROM node:18
        ENV NODE_ENV=production
        RUN echo app:x:900:900::/app:/bin/sh >> /etc/passwd && echo app:x:900: >> /etc/group
        WORKDIR /app
        COPY --from=build /app/package.json ./
        COPY --from=build --chown=app /app/dist ./dist
        USER app
        EXPOSE 3000
        HEALTHCHECK --interval=1s CMD node -e "fetch('http://127.0.0.1:3000')"
        CMD ["node", "dist/index.js"]
        """
    )
    bare.write("name: shop\nservices: {web: {build: ., init: true}}\n")
    bare.run("up", "-d", "--wait")

    ask = "fetch('http://127.0.0.1:3000').then(r => r.text()).then(t => console.log(t))"
    assert bare.run("exec", "web", "node", "-e", ask) == "hello from production as app\n"

    bare.run("stop", "web")
    assert bare.ps("shop")["shop-web-1"]["ExitCode"] == 0
    assert bare.run("logs", "--no-log-prefix", "web") == "listening\nbye\n"
