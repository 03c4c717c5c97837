import { setTimeout as sleep } from 'node:timers/promises'
import type { ServiceContext } from '../../context.ts'
import { createFinal } from '../../domains/uploads/concat/concat.ts'
import { uploadById, uploadIdOf } from '../../domains/uploads/reads.ts'
import { isConcatenating, type UploadRow } from '../../domains/uploads/rules.ts'
import { createUpload } from '../../domains/uploads/writes.ts'
import { NotFound } from '../../errors.ts'
import { uploadFromMetadata } from './metadata.ts'
import type { TusRequestState } from './request-state.ts'

/** So long a request waits for its parts to be joined; then it is answered, and they still are. */
const PATIENCE_MS = 20_000

/** Makes the upload of a POST, for @tus/server to go on with; its id. */
export async function createFromRequest(passage: TusRequestState): Promise<string> {
  const { asked, ctx } = passage
  const input = { ...asUpload(passage), size: asked.length }
  passage.upload = await createUpload(ctx, asked.concat ? partial(input) : input)
  return passage.upload.id
}

/** Clients that say nothing in metadata, as of partial uploads, may say the workspace in the query of their endpoint. */
function asUpload({ req, ctx }: TusRequestState, ofParts: string | null = null) {
  const { searchParams } = new URL(req.url ?? '', 'http://door')
  const header = req.headers['upload-metadata']?.toString()
  return uploadFromMetadata(header, ctx.viewer, searchParams.get('workspaceId') ?? ofParts)
}

type Input = ReturnType<typeof asUpload> & { size: number | null }

/** tus: its metadata "SHALL NOT be transferred to the new final upload"; it is given back, and nothing else comes of it. */
const partial = ({ workspaceId, tusMetadata, size }: Input) => ({
  workspaceId,
  tusMetadata,
  size,
  concat: 'partial',
  path: '',
  onConflict: 'RENAME' as const,
})

/** The final upload of a POST, with its parts joined unless that takes long. */
export async function concatenate(passage: TusRequestState, startJoining: () => unknown) {
  const { asked, ctx } = passage
  const partIds = (asked.concat?.parts ?? []).map((url) => partAt(ctx, url))
  const [first] = partIds
  const workspaceId = (first && (await uploadById(ctx.db, first))?.workspaceId) ?? null
  const input = { ...asUpload(passage, workspaceId), concat: asked.concat?.header ?? '', partIds }
  const upload = await createFinal(ctx, input)
  void startJoining()
  passage.upload = await joined(passage, upload)
  return new Response(null, { status: 201 })
}

/** tus: "The host and protocol scheme of the partial upload's URLs MAY be omitted." */
function partAt({ signingKeys }: ServiceContext, url: string): string {
  const path = URL.parse(url, 'http://door/uploads/')?.pathname ?? ''
  const [, key = ''] = /\/uploads\/([^/]+)$/.exec(path) ?? []
  const id = uploadIdOf(signingKeys, key)
  if (!id) throw new NotFound(url, `no upload is at ${url}`)
  return id
}

async function joined({ ctx, stop }: TusRequestState, made: UploadRow): Promise<UploadRow> {
  const end = performance.now() + PATIENCE_MS
  let upload = made
  for (let pauseMs = 5; isConcatenating(upload); pauseMs = Math.min(2 * pauseMs, 200)) {
    if (stop.signal.aborted || performance.now() > end) break
    await sleep(pauseMs)
    upload = (await uploadById(ctx.db, made.id)) ?? upload
  }
  return upload
}
