"""An S3 server for tests: an ordinary bucket and one with object lock, in memory, on a port of its own.

Usage: s3_server.py PORT_FILE. Writes the port into the file when it answers.
"""

import os
import sys
import threading

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class Handler(WSGIRequestHandler):
    # Connections stay open, as they do with a server in earnest.
    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        pass


server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=Handler)
thread = threading.Thread(target=server.serve_forever)
thread.start()
s3 = boto3.client(
    "s3",
    endpoint_url=f"http://127.0.0.1:{server.server_port}",
    aws_access_key_id="test",
    aws_secret_access_key="test",
    region_name="us-east-1",
)
s3.create_bucket(Bucket="playhead")
s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(server.server_port))
os.rename(sys.argv[1] + ".new", sys.argv[1])
thread.join()
