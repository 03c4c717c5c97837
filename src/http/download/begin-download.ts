import type { ServerResponse } from 'node:http'
import type { DownloadLog } from '../../domains/files/downloads.ts'
import type { LinkLimits, LinkQuota } from '../limits/egress-limits.ts'
import type { ResolvedDownload } from './resolve-download.ts'
import { bytesOf, type FileResponse } from './send-file.ts'

/** A response to a download that is about to be sent, by the server or by the bucket. */
export type StartingDownload = {
  res: ServerResponse
  download: ResolvedDownload
  response: FileResponse
  /** Whether the bucket sends the bytes. */
  toBucket: boolean
}

/**
 * Charges the link and counts the download of a share. Returns the function that logs the download, to be
 * called when the response is sent. Throws RateLimited, and NotFound for a share without downloads left.
 */
export async function beginDownload(
  { downloads: log, links }: { downloads: DownloadLog; links: LinkLimits },
  starting: StartingDownload,
): Promise<() => void> {
  const { res, download, response } = starting
  const { file, by, link, begin } = download
  if (link) {
    links.downloads.admit(link, res)
    if (links.quota) await chargeBytes(links.quota, link, starting)
  }
  await begin?.(response)
  const { versionId } = file
  const whole = response.status === 200
  return () => void (by && log.note({ ...by, versionId, whole, bytes: bytesOf(response) }))
}

/**
 * Charges the quota of a link. A presigned URL serves the whole file, even if this request selects a part.
 */
async function chargeBytes(quota: LinkQuota, link: string, starting: StartingDownload) {
  const { res, download, response, toBucket } = starting
  if (toBucket) await quota.consume(link, download.file.size)
  else await quota.consumeFor(res, link, bytesOf(response))
}
