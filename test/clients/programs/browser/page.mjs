// A page that uploads with Uppy's Dashboard, and exposes Uppy and tus-js-client to the test.
import Uppy from '@uppy/core'
import Dashboard from '@uppy/dashboard'
import GoldenRetriever from '@uppy/golden-retriever'
import Tus from '@uppy/tus'
import * as tus from 'tus-js-client'

const settings = Object.fromEntries(new URLSearchParams(location.hash.slice(1)))
const { endpoint, token, ...meta } = settings
const uppy = new Uppy({ meta })
  .use(Dashboard, { inline: true, target: '#uploads' })
  .use(GoldenRetriever)
  .use(Tus, {
    endpoint,
    headers: { Authorization: `Bearer ${token}` },
    chunkSize: 256 * 1024,
    retryDelays: [250, 500, 1000, 2000, 4000, 8000],
  })
const seen = { restored: false, sentBytes: 0, result: null }
uppy.on('restored', () => (seen.restored = true))
uppy.on('upload-progress', (_, { bytesUploaded }) => {
  seen.sentBytes = Math.max(seen.sentBytes, bytesUploaded)
})
uppy.on('complete', ({ successful, failed }) => {
  const ids = (files) => files.map(({ name }) => name).sort()
  seen.result = {
    successful: ids(successful),
    failed: ids(failed),
    errors: failed.map(({ error }) => error),
  }
})

/** Drops files, given as [name, size, byte], on the Dashboard. */
function drop(files) {
  const dataTransfer = new DataTransfer()
  for (const [name, size, byte] of files)
    dataTransfer.items.add(new File([new Uint8Array(size).fill(byte)], name))
  const target = document.querySelector('.uppy-Dashboard-AddFiles, .uppy-Dashboard-inner')
  const options = { dataTransfer, bubbles: true, cancelable: true }
  for (const type of ['dragenter', 'dragover', 'drop'])
    target.dispatchEvent(new DragEvent(type, options))
}

/** Uploads bytes with tus-js-client alone, and resolves with the URL of the upload. */
function upload(bytes, options) {
  return new Promise((resolve, reject) => {
    const client = new tus.Upload(bytes, {
      endpoint,
      headers: { Authorization: `Bearer ${token}` },
      ...options,
      metadata: { ...meta, ...options.metadata },
      onSuccess: () => resolve(client.url),
      onError: (error) => reject(error),
    })
    client.start()
  })
}

Object.assign(window, { uppy, seen, drop, upload })
