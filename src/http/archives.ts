import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { App } from '../app.ts'
import { readArchiveLink } from '../blobs/signed-links.ts'
import { archiveBytes } from '../domains/archives/bytes.ts'
import { CSV_HEAD, csvLine } from '../domains/archives/manifest.ts'
import { type ArchivePlan, planArchive } from '../domains/archives/plan.ts'
import { archiveName, requireArchived } from '../domains/archives/reads.ts'
import { recordArchiveDownload } from '../domains/archives/writes.ts'
import { InvalidInput, NotFound } from '../errors.ts'
import type { Scope } from '../scope.ts'
import { contentHeaders } from './content-headers.ts'
import { fileAnswer, sendFile } from './file-answer.ts'
import { judge, rangeCounts } from './preconditions.ts'
import { HttpProblem } from './problems.ts'
import type { Door } from './visit.ts'

/**
 * GET and HEAD of /download/archive/<token>/<name>.zip, and …/manifest?format=json|csv. Ranges and conditions as for files:
 * the ETag changes with whatever changes in the archive, and If-Range keeps two of them from being mixed.
 */
export const archivesDoor = (app: App): Door => ({
  async handle(req, res, { publicUrl }) {
    if (req.method !== 'GET' && req.method !== 'HEAD') throw notAllowed()
    const { pathname, searchParams } = new URL(req.url ?? '', 'http://door')
    const [, , , token = '', name = ''] = pathname.split('/')
    const scope = await app.scopeFor(undefined, publicUrl)
    const { folderId } = readArchiveLink(scope.secret, token, scope.now())
    const folder = await requireArchived(scope, folderId)
    const format = name === 'manifest' ? formatOf(searchParams.get('format')) : 'zip'
    await using plan = await planArchive(scope.db, folder)
    const sent = sendArchive({ req, res, scope, plan }, format, format === 'zip' ? archiveName(folder) : `manifest.${format}`)
    if (await whenGone(res, sent)) return
    if (format === 'zip' && begins(req, res)) await recordArchiveDownload(scope, folder, { bytes: plan.size })
  },
})
