import type { Dice } from '../../support/data/seeded-random.ts'
import { drawMode } from '../draws.ts'
import { reject, tryInModel } from '../refusal.ts'
import type { Model, Upload } from '../state/model-state.ts'
import {
  assertConfirmable,
  type ConfirmOptions,
  checkBytes,
  confirm,
  publish,
  requireUpload,
} from './confirming.ts'
import { drawContent } from './contents.ts'
import { batchOutcome, mutation, type Operation, type Outcome, stepsOf } from './operation.ts'
import { drawLink } from './tables.ts'
import { openUploads } from './uploads.ts'

type ConfirmUpload = ConfirmOptions & { uploadId: string }

function drawConfirm(model: Model, dice: Dice): ConfirmUpload | null {
  const open = openUploads(model)
  const received = open.filter(({ size, offset }) => size === offset)
  const likely = dice.chance(93) ? received : open
  const upload = dice.pick(dice.chance(93) ? likely : [...model.uploads.values()])
  if (!upload) return null
  return {
    uploadId: dice.chance(99) ? (upload.id ?? '') : 'upl_nothing',
    ...(dice.chance(10) && { size: upload.content.size + (dice.chance(30) ? 1 : 0) }),
    ...(dice.chance(10) && {
      sha256: dice.chance(70) ? upload.content.sha256 : drawContent(dice).sha256,
    }),
    ...(dice.chance(15) && { comment: `as of ${dice.below(9)}` }),
    ...(dice.chance(20) && { linkRow: drawLink(model, dice) }),
  }
}

const selection = 'upload { id status } file { id }'

const confirmUpload: Operation<ConfirmUpload> = {
  name: 'confirmUpload',
  weight: 18,
  draw: drawConfirm,
  run: mutation('confirmUpload', selection, ({ upload, file }) => ({
    facts: [upload.status, file !== null],
    ids: [upload.id, file?.id ?? null],
  })),
  apply(model, { uploadId, ...options }) {
    const upload = requireUpload(model, uploadId)
    confirm(model, upload, options)
    return {
      code: null,
      facts: [upload.status, upload.file !== null],
      keys: [upload.key, upload.file],
    }
  },
}

type Confirms = { uploads: ConfirmUpload[]; mode: string }
const confirmUploads: Operation<Confirms> = {
  name: 'confirmUploads',
  weight: 3,
  draw(model, dice) {
    const drawn = dice.some([1], 4).map(() => drawConfirm(model, dice))
    const uploads = drawn.filter((confirm) => confirm !== null)
    // Only one of the uploads may create a row with the drawn number.
    const [first, ...others] = uploads.map(({ linkRow: _, ...upload }) => upload)
    return first ? { uploads: [first, ...others], mode: drawMode(dice) } : null
  },
  run: mutation('confirmUploads', `results { error { code } ${selection} }`, ({ results }) => ({
    facts: [results.map(({ error }: any) => error?.code ?? null), null],
    ids: results.map(({ file }: any) => file?.id ?? null),
  })),
  apply(model, input) {
    if (input.mode === 'BEST_EFFORT')
      return batchOutcome(model, input, input.uploads, confirmOne(model))
    return confirmAtomically(model, input.uploads)
  },
  steps: stepsOf('uploads'),
}

const confirmOne =
  (model: Model) =>
  ({ uploadId, ...options }: ConfirmUpload) => {
    const upload = requireUpload(model, uploadId)
    confirm(model, upload, options)
    return upload.file
  }

/**
 * Checks all uploads in the order of their ids, then their bytes, and then publishes them. Reports the
 * first error.
 */
function confirmAtomically(model: Model, inputs: readonly ConfirmUpload[]): Outcome {
  let failedIndex = 0
  const options = (index: number) => inputs[index] ?? { uploadId: '' }
  const upload = (index: number) => requireUpload(model, options(index).uploadId)
  const result = tryInModel(model, () => {
    for (failedIndex of inIdOrder(inputs)) assertClaimable(upload(failedIndex), inputs, failedIndex)
    const pending = [...inputs.keys()].filter((index) => upload(index).status !== 'COMPLETE')
    for (failedIndex of pending) checkBytes(upload(failedIndex), options(failedIndex))
    for (failedIndex of pending) publish(model, upload(failedIndex), options(failedIndex))
  })
  const codeAt = (index: number) =>
    'done' in result ? null : index === failedIndex ? result.code : 'BATCH_ABORTED'
  const codes = inputs.map((_, index) => codeAt(index))
  return {
    code: null,
    facts: [codes, null],
    keys: 'done' in result ? inputs.map((_, i) => upload(i).file) : [],
  }
}

function assertClaimable(upload: Upload, inputs: readonly ConfirmUpload[], index: number) {
  const isTwice = inputs.findIndex(({ uploadId }) => uploadId === upload.id) !== index
  if (isTwice) reject('INVALID_INPUT')
  if (upload.status !== 'COMPLETE') assertConfirmable(upload, inputs[index] ?? {})
}

const inIdOrder = (inputs: readonly ConfirmUpload[]) =>
  [...inputs.keys()].sort((a, b) =>
    (inputs[a]?.uploadId ?? '').localeCompare(inputs[b]?.uploadId ?? ''),
  )

export const confirmOperations: Operation[] = [confirmUpload, confirmUploads]
