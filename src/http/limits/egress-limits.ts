import type { ServerResponse } from 'node:http'
import type { App } from '../../app.ts'
import { consume } from '../../database/rate-limit/limiter.ts'
import { RateLimited } from '../../errors/availability.ts'
import { createConcurrencyLimit } from './concurrency-limit.ts'
import { secondsUntil } from './rate-limits.ts'

const DAY_MS = 86_400_000

/** Limits the bytes that a link sends within 24 hours of its first byte. */
export type LinkQuota = {
  /** Consumes `bytes`. Throws RateLimited if fewer are left. 0 bytes always succeed. */
  consume: (link: string, bytes: number) => Promise<{ endsAt: number }>
  /**
   * Consumes the `bytes` of a response before it is sent. When the response closes, the bytes that were not
   * sent are given back. `bytes` is null for a response of unknown length: it needs at least one byte of
   * quota, and its bytes are consumed when it closes. Throws RateLimited.
   */
  consumeFor: (res: ServerResponse, link: string, bytes: number | null) => Promise<void>
}

type LinkOrigin = { tokenId?: string | undefined; shareLinkId?: string | undefined }

/**
 * Returns the key of a quota: one for all downloads of a share, else one for all links to a target that
 * were created with one token, or without any.
 */
export const quotaKey = (target: string, { tokenId, shareLinkId }: LinkOrigin) =>
  shareLinkId ?? `${tokenId ?? 'public'} ${target}`

/** Limits of downloads through links, which need no token. */
export type LinkLimits = {
  /** Null if LINK_BYTES_PER_DAY is off. */
  quota: LinkQuota | null
  /** Limits the concurrent downloads of one link. */
  downloads: ReturnType<typeof createConcurrencyLimit>
}

/** Creates the limits of LINK_BYTES_PER_DAY and MAX_DOWNLOADS_PER_LINK. */
export function createLinkLimits(app: App): LinkLimits {
  const max = app.config.maxDownloadsPerLink ?? Number.POSITIVE_INFINITY
  return {
    quota: createLinkQuota(app),
    downloads: createConcurrencyLimit(
      max,
      `too many concurrent downloads of this link (limit ${max})`,
    ),
  }
}

/** Creates the quota of LINK_BYTES_PER_DAY, or null if it is off. On PostgreSQL all processes share it. */
function createLinkQuota({ config, counter, now, log }: App): LinkQuota | null {
  const { linkBytesPerDay: limit } = config
  if (limit === null) return null

  async function consumeBytes(link: string, bytes: number) {
    if (bytes === 0) return { endsAt: 0 }
    const request = { key: `link ${link}`, points: bytes, windowMs: DAY_MS }
    const { refused, endsAt } = await consume(counter, { ...request, limit: limit ?? 0 })
    if (refused) throw quotaExceeded(secondsUntil(endsAt, now()), limit ?? 0)
    return { endsAt }
  }

  function correct(link: string, bytes: number) {
    const onError = (err: unknown) =>
      log.error({ err }, 'correcting the egress quota of a link failed')
    counter.add(`link ${link}`, bytes, DAY_MS).catch(onError)
  }

  return {
    consume: consumeBytes,
    async consumeFor(res, link, bytes) {
      const consumed = bytes ?? 1
      const { socket } = res.req
      const bytesBefore = socket.bytesWritten
      const { endsAt } = await consumeBytes(link, consumed)
      onceClosed(res, () => {
        const excess = socket.bytesWritten - bytesBefore - consumed
        // After the end of the window there is nothing to give back.
        if (excess > 0 ? bytes === null : excess < 0 && now() < endsAt) correct(link, excess)
      })
    },
  }
}

function onceClosed(res: ServerResponse, fn: () => void) {
  if (res.closed) return fn()
  res.once('close', fn)
}

const quotaExceeded = (seconds: number, limit: number) =>
  new RateLimited(seconds, `this link has reached its egress limit of ${limit} bytes in 24 hours`)
