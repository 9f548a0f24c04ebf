"""An S3 server for tests: an ordinary bucket and one with object lock, in memory, on a port of its own.

Usage: s3_server.py PORT_FILE [FOLDER PORT]. Writes the port into the file when it answers. With a folder, every object lies there
as a file before its request is answered, and is there again after the server was killed and started anew on the same port.
"""

import os
import sys
import threading

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


def backend():
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]


class Handler(WSGIRequestHandler):
    # Connections stay open, as they do with a server in earnest.
    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        pass


class Kept:
    """Mirrors what requests change to files: FOLDER/BUCKET/KEY."""

    def __init__(self, app, folder):
        self.app, self.folder, self.lock = app, folder, threading.Lock()

    def __call__(self, environ, start_response):
        parts = environ["PATH_INFO"].strip("/").split("/", 1)
        if environ["REQUEST_METHOD"] not in ("PUT", "POST", "DELETE") or not parts[0]:
            return self.app(environ, start_response)
        with self.lock:
            answer = self.app(environ, start_response)
            body = list(answer)
            if hasattr(answer, "close"):
                answer.close()
            if len(parts) == 2:
                self.mirror(*parts)
            elif "delete" in environ.get("QUERY_STRING", ""):
                # Many at once; which ones, stands in the request's body. What is still there has not changed.
                for key in self.keys(parts[0]):
                    if self.found(parts[0], key) is None:
                        self.mirror(parts[0], key)
        return body

    def keys(self, bucket):
        top = os.path.join(self.folder, bucket)
        return [os.path.relpath(os.path.join(folder, name), top) for folder, _, names in os.walk(top) for name in names]

    def found(self, bucket, key):
        return backend().get_object(bucket, key)

    def mirror(self, bucket, key):
        found = self.found(bucket, key)
        path = os.path.join(self.folder, bucket, key)
        if found is None:
            if os.path.exists(path):
                os.remove(path)
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "wb") as file:
            file.write(found.value)
        os.rename(path + ".new", path)

    def restore(self):
        # Not by requests: after an hour there are thousands of objects, and on a busy machine that would take minutes.
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                if name.endswith(".new"):
                    os.remove(path)
                    continue
                bucket, key = os.path.relpath(path, self.folder).split(os.sep, 1)
                with open(path, "rb") as file:
                    backend().put_object(bucket, key, file.read())


def serve(app, port):
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    return server, thread


app = DomainDispatcherApplication(create_backend_app)
kept = Kept(app, sys.argv[2]) if len(sys.argv) > 2 else None
# Made ready where nobody else asks: what came before the files are followed would be lost.
inner, thread = serve(app, 0)
s3 = boto3.client(
    "s3",
    endpoint_url=f"http://127.0.0.1:{inner.server_port}",
    aws_access_key_id="test",
    aws_secret_access_key="test",
    region_name="us-east-1",
)
kms = boto3.client(
    "kms",
    endpoint_url=f"http://127.0.0.1:{inner.server_port}",
    aws_access_key_id="test",
    aws_secret_access_key="test",
    region_name="us-east-1",
)
kms.create_alias(AliasName="alias/playhead", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
kms.close()
s3.create_bucket(Bucket="playhead")
s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
if kept:
    kept.restore()
s3.close()
inner.shutdown()
thread.join()
server, thread = serve(kept or app, int(sys.argv[3]) if len(sys.argv) > 3 else 0)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(server.server_port))
os.rename(sys.argv[1] + ".new", sys.argv[1])
thread.join()
