import fc from 'fast-check'

/** A sequence of choices. After its end every choice is the first one. fast-check shrinks it as a list. */
export class Tape {
  readonly #numbers: number[]
  #at = 0
  constructor(numbers: number[]) {
    this.#numbers = numbers
  }
  /** Returns a number from 0 to `below` - 1. */
  number(below: number): number {
    return (this.#numbers[this.#at++] ?? 0) % below
  }
  /** Returns true once in `inTimes` calls, and false after the end. */
  once(inTimes: number): boolean {
    return this.number(inTimes) === inTimes - 1
  }
  /** Returns an element of the list. */
  pick<T>(list: readonly [T, ...T[]] | readonly T[]): T {
    return list[this.number(list.length)] as T
  }
}

export const tapes = fc.array(fc.nat(0xffff), { maxLength: 300, size: 'max' })
