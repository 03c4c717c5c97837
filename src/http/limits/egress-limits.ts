import type { ServerResponse } from 'node:http'
import type { App } from '../../app.ts'
import { consume } from '../../database/rate-limiter.ts'
import { RateLimited } from '../../errors.ts'
import { atOnce } from './concurrency-limit.ts'
import { secondsUntil } from './rate-limits.ts'

const DAY_MS = 86_400_000

/** What each link may send in the 24 hours from its first byte. */
export type LinkBytes = {
  /** Takes `bytes`; throws RateLimited where fewer are left. None are never refused. */
  take: (link: string, bytes: number) => Promise<{ endsAt: number }>
  /**
   * The same for an answer that is about to be sent: what of it is not sent in the end is given back. Null for one whose length
   * nobody knows: it is refused where nothing is left, and what was sent is taken when it is over.
   */
  takeFor: (res: ServerResponse, link: string, bytes: number | null) => Promise<void>
}

type Maker = { tokenId?: string | undefined; shareLinkId?: string | undefined }

/**
 * What is counted together: all that a share shows; else what was linked to with one token, however often it makes a new link, or
 * without any.
 */
export const quotaKey = (target: string, { tokenId, shareLinkId }: Maker) =>
  shareLinkId ?? `${tokenId ?? 'public'} ${target}`

/** What the links that are opened without a token may send. */
export type LinkLimits = {
  /** Null where nothing limits them. */
  bytes: LinkBytes | null
  /** Downloads of one link that are under way; throws RateLimited. */
  downloads: ReturnType<typeof atOnce>
}

/** By LINK_BYTES_PER_DAY and MAX_DOWNLOADS_PER_LINK. */
export function openLinkLimits(app: App): LinkLimits {
  const most = app.config.maxDownloadsPerLink ?? Number.POSITIVE_INFINITY
  return {
    bytes: openLinkBytes(app),
    downloads: atOnce(most, 'too many downloads of this link at once'),
  }
}

/** By LINK_BYTES_PER_DAY; null where it is off. On PostgreSQL all processes count together. */
function openLinkBytes({ config, counter, now, log }: App): LinkBytes | null {
  const { linkBytesPerDay: limit } = config
  if (limit === null) return null

  async function take(link: string, bytes: number) {
    if (bytes === 0) return { endsAt: 0 }
    const taking = { key: `link ${link}`, points: bytes, windowMs: DAY_MS }
    const { refused, endsAt } = await consume(counter, { ...taking, limit: limit ?? 0 })
    if (refused) throw spent(secondsUntil(endsAt, now()))
    return { endsAt }
  }

  function correct(link: string, bytes: number) {
    const failed = (err: unknown) => log.error({ err }, 'the bytes of a link could not be counted')
    counter.add(`link ${link}`, bytes, DAY_MS).catch(failed)
  }

  return {
    take,
    async takeFor(res, link, bytes) {
      const taken = bytes ?? 1
      const { socket } = res.req
      const before = socket.bytesWritten
      const { endsAt } = await take(link, taken)
      onceClosed(res, () => {
        const more = socket.bytesWritten - before - taken
        // What is left over after the day belongs to none.
        if (more > 0 ? bytes === null : more < 0 && now() < endsAt) correct(link, more)
      })
    },
  }
}

function onceClosed(res: ServerResponse, then: () => void) {
  if (res.closed) return then()
  res.once('close', then)
}

const spent = (seconds: number) =>
  new RateLimited(seconds, 'this link has sent as much as it may in a day')
