import { setTimeout as sleep } from 'node:timers/promises'
import type { ServiceContext } from '../../context.ts'
import { createFinal } from '../../domains/uploads/concat/concat.ts'
import { uploadById, uploadIdOf, uploadsById } from '../../domains/uploads/reads.ts'
import { isConcatenating, type UploadRow } from '../../domains/uploads/rules.ts'
import { createUpload } from '../../domains/uploads/writes.ts'
import { NotFound } from '../../errors/access.ts'
import { urlOf } from '../request-context.ts'
import { uploadFromMetadata } from './metadata.ts'
import type { TusRequestState } from './request-state.ts'

/** Maximum wait for a concatenation. The response is then sent, and the concatenation continues. */
const CONCAT_TIMEOUT_MS = 20_000

/** Creates the upload of a POST and returns its id. */
export async function createFromRequest(state: TusRequestState): Promise<string> {
  const { request, ctx } = state
  const input = { ...readInput(state), size: request.length }
  state.upload = await createUpload(ctx, request.concat ? toPartial(input) : input)
  return state.upload.id
}

/**
 * Reads the metadata. If it names no workspace, the query of the URL may, or else the partial uploads or the
 * token determine it.
 */
function readInput({ req, ctx }: TusRequestState, workspaceOfParts: string | null = null) {
  const { searchParams } = urlOf(req)
  const header = req.headers['upload-metadata']?.toString()
  return uploadFromMetadata(header, ctx.viewer, searchParams.get('workspaceId') ?? workspaceOfParts)
}

type Input = ReturnType<typeof readInput> & { size: number | null }

/**
 * tus: the metadata of a partial upload "SHALL NOT be transferred to the new final upload". It is stored only
 * for HEAD.
 */
const toPartial = ({ workspaceId, tusMetadata, size }: Input) => ({
  workspaceId,
  tusMetadata,
  size,
  concat: 'partial',
  path: '',
  onConflict: 'RENAME' as const,
})

/**
 * Creates the final upload of a POST and starts its concatenation. Waits up to CONCAT_TIMEOUT_MS for it,
 * unless parts are still arriving.
 */
export async function concatenate(state: TusRequestState, startConcatenation: () => unknown) {
  const { request, ctx } = state
  const partIds = (request.concat?.parts ?? []).map((url) => partIdOf(ctx, url))
  const [first] = partIds
  const workspaceId = (first && (await uploadById(ctx.db, first))?.workspaceId) ?? null
  const input = { ...readInput(state, workspaceId), concat: request.concat?.header ?? '', partIds }
  const upload = await createFinal(ctx, input)
  void startConcatenation()
  const parts = await uploadsById(ctx.db, partIds)
  const hasAllParts = parts.every((part) => part?.offset === part?.size)
  state.upload = hasAllParts ? await waitForConcatenation(state, upload) : upload
  return new Response(null, { status: 201 })
}

/** tus: "The host and protocol scheme of the partial upload's URLs MAY be omitted." */
function partIdOf({ signingKeys }: ServiceContext, url: string): string {
  const path = URL.parse(url, 'http://localhost/uploads/')?.pathname ?? ''
  const [, key = ''] = /\/uploads\/([^/]+)$/.exec(path) ?? []
  const id = uploadIdOf(signingKeys, key)
  if (!id) throw new NotFound(url, `no upload has the URL ${url}`)
  return id
}

async function waitForConcatenation(
  { ctx, stop }: TusRequestState,
  created: UploadRow,
): Promise<UploadRow> {
  const deadline = performance.now() + CONCAT_TIMEOUT_MS
  let upload = created
  for (let pauseMs = 5; isConcatenating(upload); pauseMs = Math.min(2 * pauseMs, 200)) {
    if (stop.signal.aborted || performance.now() > deadline) break
    await sleep(pauseMs)
    upload = (await uploadById(ctx.db, created.id)) ?? upload
  }
  return upload
}
