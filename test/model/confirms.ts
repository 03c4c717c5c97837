import type { Dice } from '../support/seeded-random.ts'
import {
  checkBytes,
  confirm,
  publish,
  refuseUnconfirmable,
  requireUpload,
  type Wishes,
} from './confirming.ts'
import { drawContent } from './contents.ts'
import { drawMode } from './draws.ts'
import type { Upload, World } from './model-state.ts'
import { batchOutcome, mutation, type Operation, type Outcome, stepsOf } from './operation.ts'
import { attempted, refuse } from './refusal.ts'
import { drawLink } from './tables.ts'
import { openUploads } from './uploads.ts'

type ConfirmUpload = Wishes & { uploadId: string }

function drawConfirm(world: World, dice: Dice): ConfirmUpload | null {
  const open = openUploads(world)
  const received = open.filter(({ size, offset }) => size === offset)
  const likely = dice.chance(93) ? received : open
  const upload = dice.pick(dice.chance(93) ? likely : [...world.uploads.values()])
  if (!upload) return null
  return {
    uploadId: dice.chance(99) ? (upload.id ?? '') : 'upl_nothing',
    ...(dice.chance(10) && { size: upload.content.size + (dice.chance(30) ? 1 : 0) }),
    ...(dice.chance(10) && {
      sha256: dice.chance(70) ? upload.content.sha256 : drawContent(dice).sha256,
    }),
    ...(dice.chance(15) && { comment: `as of ${dice.below(9)}` }),
    ...(dice.chance(20) && { linkRow: drawLink(world, dice) }),
  }
}

/** Where a process died over it, whoever asks again waits for its lease to end. */
const answer = 'upload { id status } file { id }'

const confirmUpload: Operation<ConfirmUpload> = {
  name: 'confirmUpload',
  weight: 18,
  draw: drawConfirm,
  run: mutation('confirmUpload', answer, ({ upload, file }) => ({
    facts: [upload.status, file !== null],
    ids: [upload.id, file?.id ?? null],
  })),
  apply(world, { uploadId, ...wishes }) {
    const upload = requireUpload(world, uploadId)
    confirm(world, upload, wishes)
    return {
      code: null,
      facts: [upload.status, upload.file !== null],
      is: [upload.key, upload.file],
    }
  },
}

type Confirms = { uploads: ConfirmUpload[]; mode: string }
const confirmUploads: Operation<Confirms> = {
  name: 'confirmUploads',
  weight: 3,
  draw(world, dice) {
    const drawn = dice.some([1], 4).map(() => drawConfirm(world, dice))
    const uploads = drawn.filter((confirm) => confirm !== null)
    // A row is drawn by a number that only one of them may have.
    const [first, ...others] = uploads.map(({ linkRow: _, ...upload }) => upload)
    return first ? { uploads: [first, ...others], mode: drawMode(dice) } : null
  },
  run: mutation('confirmUploads', `results { error { code } ${answer} }`, ({ results }) => ({
    facts: [results.map(({ error }: any) => error?.code ?? null), null],
    ids: results.map(({ file }: any) => file?.id ?? null),
  })),
  apply(world, input) {
    if (input.mode === 'BEST_EFFORT') return batchOutcome(world, input, input.uploads, each(world))
    return together(world, input.uploads)
  },
  steps: stepsOf('uploads'),
}

const each =
  (world: World) =>
  ({ uploadId, ...wishes }: ConfirmUpload) => {
    const upload = requireUpload(world, uploadId)
    confirm(world, upload, wishes)
    return upload.file
  }

/** All are looked at in the order of their ids, then their bytes, then all are published: the first that cannot is told. */
function together(world: World, inputs: readonly ConfirmUpload[]): Outcome {
  let at = 0
  const wishes = (index: number) => inputs[index] ?? { uploadId: '' }
  const upload = (index: number) => requireUpload(world, wishes(index).uploadId)
  const result = attempted(world, () => {
    for (at of inIdOrder(inputs)) claim(upload(at), inputs, at)
    const mine = [...inputs.keys()].filter((index) => upload(index).status !== 'COMPLETE')
    for (at of mine) checkBytes(upload(at), wishes(at))
    for (at of mine) publish(world, upload(at), wishes(at))
  })
  const codeAt = (index: number) =>
    'done' in result ? null : index === at ? result.code : 'BATCH_ABORTED'
  const codes = inputs.map((_, index) => codeAt(index))
  return {
    code: null,
    facts: [codes, null],
    is: 'done' in result ? inputs.map((_, i) => upload(i).file) : [],
  }
}

function claim(upload: Upload, inputs: readonly ConfirmUpload[], at: number) {
  const isTwice = inputs.findIndex(({ uploadId }) => uploadId === upload.id) !== at
  if (isTwice) refuse('INVALID_INPUT')
  if (upload.status !== 'COMPLETE') refuseUnconfirmable(upload, inputs[at] ?? {})
}

const inIdOrder = (inputs: readonly ConfirmUpload[]) =>
  [...inputs.keys()].sort((a, b) =>
    (inputs[a]?.uploadId ?? '').localeCompare(inputs[b]?.uploadId ?? ''),
  )

export const confirmOperations: Operation[] = [confirmUpload, confirmUploads]
