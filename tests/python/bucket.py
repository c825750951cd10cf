"""A bucket: the calls of the S3 protocol that an object store needs, kept in memory. Prints the port it listens on.

Signatures are not looked at.
"""

import hashlib
import itertools
import sys
import threading
import urllib.parse
from datetime import datetime, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree
from xml.sax.saxutils import escape

OBJECTS, UPLOADS, NUMBERS = {}, {}, itertools.count(1)
TURN = threading.Lock()
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def tag(content):
    return f'"{hashlib.md5(content).hexdigest()}"'


class Bucket(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def split(self):
        address = urllib.parse.urlsplit(self.path)
        _, _, key = urllib.parse.unquote(address.path).lstrip("/").partition("/")
        return key, dict(urllib.parse.parse_qsl(address.query, keep_blank_values=True))

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            raise ValueError("chunked bodies are not read")
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status, content=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(headers.pop("length", len(content))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def xml(self, name, inside, status=200):
        self.answer(status, f'<{name} xmlns="{NAMESPACE}">{inside}</{name}>'.encode(), Content_Type="application/xml")

    def missing(self):
        self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>", Content_Type="application/xml")

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        key, query = self.split()
        if "list-type" in query:
            prefix = query.get("prefix", "")
            found = [(name, *value) for name, value in sorted(OBJECTS.items()) if name.startswith(prefix)]
            rows = "".join(
                f"<Contents><Key>{escape(name)}</Key><Size>{len(content)}</Size><ETag>{escape(etag)}</ETag>"
                f"<LastModified>{at.isoformat()}</LastModified></Contents>"
                for name, content, at, etag in found
            )
            return self.xml("ListBucketResult", f"<IsTruncated>false</IsTruncated>{rows}")
        if key not in OBJECTS:
            return self.missing()
        content, at, etag = OBJECTS[key]
        about = {"ETag": etag, "Last_Modified": format_datetime(at, usegmt=True), "Accept_Ranges": "bytes"}
        wanted = self.headers.get("Range")
        if wanted and self.command == "GET":
            first, last = wanted.removeprefix("bytes=").split("-")
            first, last = int(first), min(int(last or len(content) - 1), len(content) - 1)
            about["Content_Range"] = f"bytes {first}-{last}/{len(content)}"
            return self.answer(206, content[first : last + 1], **about)
        return self.answer(200, content, **about)

    def keep(self, key, content):
        OBJECTS[key] = (content, datetime.now(timezone.utc).replace(microsecond=0), tag(content))
        return OBJECTS[key][2]

    def do_PUT(self):
        key, query = self.split()
        content = self.body()
        if "uploadId" in query:
            UPLOADS[query["uploadId"]][int(query["partNumber"])] = content
            return self.answer(200, ETag=tag(content))
        if "x-amz-copy-source" in self.headers:
            # Buckets copy no object over 5 GB, so that nothing may depend on it.
            return self.answer(501)
        return self.answer(200, ETag=self.keep(key, content))

    def do_POST(self):
        key, query = self.split()
        body = self.body()
        if "uploads" in query:
            with TURN:
                name = str(next(NUMBERS))
            UPLOADS[name] = {}
            return self.xml("InitiateMultipartUploadResult", f"<Key>{escape(key)}</Key><UploadId>{name}</UploadId>")
        if "uploadId" in query:
            parts = UPLOADS.pop(query["uploadId"])
            numbers = [int(one.text) for one in ElementTree.fromstring(body).iter() if one.tag.endswith("PartNumber")]
            kept = self.keep(key, b"".join(parts[number] for number in numbers))
            return self.xml("CompleteMultipartUploadResult", f"<ETag>{escape(kept)}</ETag>")
        if "delete" in query:
            names = [one.text for one in ElementTree.fromstring(body).iter() if one.tag.endswith("Key")]
            for name in names:
                OBJECTS.pop(name, None)
            return self.xml("DeleteResult", "".join(f"<Deleted><Key>{escape(name)}</Key></Deleted>" for name in names))
        return self.answer(400)

    def do_DELETE(self):
        key, query = self.split()
        if "uploadId" in query:
            UPLOADS.pop(query["uploadId"], None)
        else:
            OBJECTS.pop(key, None)
        self.answer(204)


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that is killed hangs up in the middle."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Bucket)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # It ends with whoever started it.
    sys.stdin.read()
