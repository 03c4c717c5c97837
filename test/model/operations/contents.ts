import { createHash } from 'node:crypto'
import type { Dice } from '../../support/data/seeded-random.ts'
import type { Content } from '../state/model-state.ts'

const sizes = [0, 1, 10, 100, 1000, 1000, 5000, 5000, 70_000] as const

/** Draws from few contents, so that the same bytes occur often. */
export function drawContent(dice: Dice): Content {
  const size = dice.chance(2) ? 400_000 : dice.pick(sizes)
  const text = `content ${dice.below(6)}.\n`
  return { size, text, sha256: hashOf(bytesOf({ size, text })) }
}

export const bytesOf = ({ size, text }: Pick<Content, 'size' | 'text'>): Buffer =>
  size === 0 ? Buffer.alloc(0) : Buffer.alloc(size, text)

export const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
