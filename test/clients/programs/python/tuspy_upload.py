"""Uploads a file with tuspy: ENDPOINT TOKEN WORKSPACE NAME FILE."""

import sys

from tusclient import client

endpoint, token, workspace, name, path = sys.argv[1:]
tus = client.TusClient(endpoint, headers={"Authorization": f"Bearer {token}"})
metadata = {"workspaceId": workspace, "filename": name, "confirm": "auto"}
uploader = tus.uploader(
    path, chunk_size=1 << 20, metadata=metadata, retries=5, retry_delay=0.2
)
uploader.upload()
print(uploader.url)
