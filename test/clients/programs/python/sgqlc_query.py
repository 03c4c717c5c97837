"""Queries with types that sgqlc generated: ENDPOINT TOKEN FILE_ID."""

import sys

import holdall_schema as schema
from sgqlc.endpoint.http import HTTPEndpoint
from sgqlc.operation import Operation

endpoint, token, file_id = sys.argv[1:]
operation = Operation(schema.Query)
file = operation.node(id=file_id).__as__(schema.File)
file.name()
file.download_url().url()
send = HTTPEndpoint(endpoint, {"Authorization": f"Bearer {token}"})
node = (operation + send(operation)).node
print(node.name, node.download_url.url)
