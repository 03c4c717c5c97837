/** A seeded random generator (mulberry32). */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** Returns an integer from 0 to `n` - 1. */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * n)
  }

  chance(percent: number): boolean {
    return this.below(100) < percent
  }

  pick<T>(list: readonly [T, ...T[]]): T
  pick<T>(list: readonly T[]): T | undefined
  pick<T>(list: readonly T[]): T | undefined {
    return list[this.below(list.length)]
  }

  /** Returns 1 to `most` elements, drawn independently. */
  some<T>(list: readonly T[], most: number): T[] {
    if (list.length === 0) return []
    return Array.from({ length: 1 + this.below(most) }, () => list[this.below(list.length)] as T)
  }

  /** Returns an element with a probability proportional to its weight. */
  weighed<T extends { weight: number }>(list: readonly T[]): T {
    let left = this.below(list.reduce((sum, { weight }) => sum + weight, 0))
    const found = list.find(({ weight }) => {
      left -= weight
      return left < 0
    })
    if (!found) throw new Error('cannot draw from an empty list')
    return found
  }
}
